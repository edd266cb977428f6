"""Which names the server answers to. A Host header is parsed and compared whole, and never resolved."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

LOOPBACK_NAMES: Final = ("localhost", "127.0.0.1", "::1")
_LABEL: Final = r"[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?"
_NAME: Final = re.compile(rf"{_LABEL}(\.{_LABEL})*\Z")
_LONGEST: Final = 255


@dataclass(frozen=True, slots=True)
class HostName:
    """A host as a header names it: in lower case, without brackets or a final dot; `port` is None if it names none."""

    name: str
    port: int | None


def parse_host(text: str) -> HostName | None:
    """Read a Host header or the authority of an origin; None for what is neither (user info, spaces, odd ports)."""
    if not text or len(text) > _LONGEST or not text.isascii():
        return None
    name, port = text.lower(), ""
    if name.startswith("["):
        inner, bracket, rest = name[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            return None
        try:
            address = ipaddress.IPv6Address(inner)
        except ValueError:
            return None
        name, port = str(address), rest[1:]
        if rest == ":":
            return None
    else:
        name, colon, port = name.partition(":")
        if colon and not port:
            return None
        name = name.removesuffix(".")
        if not _NAME.match(name):
            return None
    if port and (not port.isdigit() or len(port) > 5 or not 0 < int(port) < 65536):
        return None
    return HostName(name, int(port) if port else None)


class HostList:
    """The names that requests may be addressed to."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = frozenset(_plain(name) for name in names)

    def __contains__(self, name: str) -> bool:
        return name in self._names

    def admits(self, header: str) -> bool:
        """True if a Host header names one of them, at whatever port."""
        host = parse_host(header)
        return host is not None and host.name in self._names


def is_loopback(bind: str) -> bool:
    """True if an address to listen on can be reached from this machine alone."""
    name = _plain(bind)
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _plain(name: str) -> str:
    text = name.strip().lower().removesuffix(".").removeprefix("[").removesuffix("]")
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return text
