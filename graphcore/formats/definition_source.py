"""Where node definitions come from: a file with the answer of a ComfyUI server's /object_info, or that address."""

from __future__ import annotations

import time
from email.message import Message
from http.client import HTTPException, HTTPMessage
from pathlib import Path
from typing import IO, Final
from urllib.error import HTTPError, URLError
from urllib.parse import SplitResult, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from graphcore.errors import DocumentError, ResourceError
from graphcore.formats.ui.definitions import MAX_BYTES, read_object_info

ROUTE: Final = "/object_info"
WAIT_S: Final = 10.0
TOTAL_S: Final = 60.0
_SCHEMES: Final = ("http", "https")
_CHUNK: Final = 2**20


def load_object_info(
    place: str, *, max_bytes: int = MAX_BYTES, total_s: float = TOTAL_S
) -> dict[str, object]:
    """The definitions by class, from a file or an http(s) address; a server's bare address means its /object_info.

    No redirect is followed. Raises DocumentError (`bad-object-info`) for what is no such answer, and ResourceError
    (`object-info-unreachable`) where there is none.
    """
    if "://" in place:
        return read_object_info(_fetched(_address(place), max_bytes, total_s))
    try:
        size = Path(place).stat().st_size
        if size > max_bytes:
            raise _too_large(place, max_bytes)
        return read_object_info(Path(place).read_bytes())
    except OSError as error:
        raise _unreachable(place, error.strerror or str(error)) from error


def _address(place: str) -> str:
    try:
        parts = urlsplit(place)
        known = parts.scheme in _SCHEMES and bool(parts.hostname) and parts.port != 0
    except ValueError:
        known, parts = False, SplitResult("", "", "", "", "")
    if not known or parts.username is not None:
        raise DocumentError(
            f"Node definitions are fetched from http and https addresses alone, without a user name; "
            f"write http://host:port{ROUTE}.",
            code="bad-address",
        )
    path = parts.path if parts.path.strip("/") else ROUTE
    return parts._replace(path=path, fragment="").geturl()


def _fetched(address: str, max_bytes: int, total_s: float) -> bytes:
    deadline = time.monotonic() + total_s
    opener = build_opener(_NoRedirects)
    request = Request(address, headers={"Accept": "application/json", "Accept-Encoding": "identity"})  # noqa: S310
    try:
        with opener.open(request, timeout=min(WAIT_S, total_s)) as answer:
            received = bytearray()
            while part := answer.read1(_CHUNK):
                received += part
                if len(received) > max_bytes:
                    raise _too_large(address, max_bytes)
                if time.monotonic() > deadline:
                    raise TimeoutError
            announced = answer.headers.get("Content-Length", "")
            if announced.isdecimal() and int(announced) > len(received):
                raise _unreachable(address, "the answer breaks off")
            return bytes(received)
    except HTTPError as error:
        error.close()
        raise _unreachable(address, f"the server answers {error.code} {error.reason}") from None
    except TimeoutError as error:
        raise _unreachable(address, "it takes too long") from error
    except URLError as error:
        slow = isinstance(error.reason, TimeoutError)
        raise _unreachable(address, "it takes too long" if slow else _reason(error.reason)) from error
    except (OSError, HTTPException, UnicodeError) as error:
        raise _unreachable(address, _reason(error)) from error


class _NoRedirects(HTTPRedirectHandler):
    """Fetches what was named and nothing else."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        del req, fp, headers
        raise HTTPError(newurl, code, f"{msg}, to {newurl[:200]}; name that address", Message(), None)


def _reason(error: object) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


def _unreachable(place: str, why: str) -> ResourceError:
    return ResourceError(
        f"The node definitions at '{place}' cannot be read: {why}.", code="object-info-unreachable"
    )


def _too_large(place: str, max_bytes: int) -> DocumentError:
    return DocumentError(
        f"The node definitions at '{place}' have more than {max_bytes} bytes; take those of fewer classes.",
        code="bad-object-info",
    )
