"""Content credentials (C2PA): what a picture's signed manifest says, and whether the file is still what was signed.

Read offline with the library `c2pa-python`, an extra of its own. A signature shows that the file was not changed since
somebody signed it; who that is, only a certificate of a known authority shows.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from graphcore.errors import DocumentError, ResourceError

State = Literal["valid", "changed"]
CREATED: Final = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
"""IPTC's code for what a trained algorithm made."""
OFFLINE: Final[Mapping[str, Any]] = {
    "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False},
    "builder": {"thumbnail": {"enabled": False}},
}
_UNTRUSTED: Final = "signingCredential.untrusted"
_MARKS: Final = (b"jumb", b"c2pa")


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What a signed picture says.

    `state` is "changed" where the file is not the one that was signed; `problems` are C2PA's codes of what is wrong.
    `trusted`: an authority that is known here stands behind the signer's certificate.
    """

    state: State
    signer: str
    issuer: str
    trusted: bool
    generator: str
    source_type: str
    problems: tuple[str, ...]

    def as_json(self) -> dict[str, object]:
        """The same as plain JSON."""
        return {
            "state": self.state,
            "signer": self.signer,
            "issuer": self.issuer,
            "trusted": self.trusted,
            "generator": self.generator,
            "source_type": self.source_type,
            "problems": list(self.problems),
        }


def has_credentials(data: bytes) -> bool:
    """Whether a file seems to hold a C2PA manifest; no library is needed to see that."""
    return all(mark in data for mark in _MARKS)


def media_type(data: bytes) -> str:
    """The media type of a PNG, WebP or JPEG file; raises DocumentError for another."""
    if data.startswith(b"\x89PNG"):
        return "image/png"
    if data.startswith(b"\xff\xd8"):
        return "image/jpeg"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    raise DocumentError("The file is not a PNG, WebP or JPEG picture.", code="not-a-picture")


def require_library() -> Any:
    """The module c2pa; raises ResourceError with the way to install it."""
    try:
        import c2pa
    except ImportError as error:
        raise ResourceError(
            "Content credentials need the library c2pa-python; install it with `pip install graphcore[credentials]`.",
            code="library-missing",
        ) from error
    return c2pa


def read_credentials(data: bytes) -> Credentials | None:
    """The credentials of a picture, checked against its content; None if it has none.

    Raises DocumentError if the manifest cannot be read, ResourceError without the library.
    """
    if not has_credentials(data):
        return None
    c2pa = require_library()
    try:
        context = c2pa.Context(c2pa.Settings.from_dict(dict(OFFLINE)))
        with c2pa.Reader(media_type(data), io.BytesIO(data), context=context) as reader:
            said = json.loads(reader.json())
    except c2pa.C2paError as error:
        if "ManifestNotFound" in type(error).__name__ or "ManifestNotFound" in str(error):
            return None
        raise DocumentError(
            f"The picture's content credentials are damaged ({str(error)[:120]}).", code="damaged-credentials"
        ) from error
    return _credentials(said)


def _credentials(said: Mapping[str, Any]) -> Credentials:
    active = said.get("manifests", {}).get(said.get("active_manifest"), {})
    codes = sorted({str(status.get("code")) for status in said.get("validation_status", [])})
    problems = tuple(code for code in codes if code != _UNTRUSTED)
    signature = active.get("signature_info", {})
    generators = active.get("claim_generator_info") or [{}]
    return Credentials(
        state="changed" if problems or said.get("validation_state") == "Invalid" else "valid",
        signer=str(signature.get("common_name") or signature.get("issuer") or "unknown"),
        issuer=str(signature.get("issuer") or "unknown"),
        trusted=said.get("validation_state") == "Trusted",
        generator=str(generators[0].get("name", active.get("claim_generator", "unknown"))),
        source_type=next(_source_types(active), ""),
        problems=problems,
    )


def _source_types(manifest: Mapping[str, Any]) -> Iterator[str]:
    for assertion in manifest.get("assertions", []):
        if str(assertion.get("label", "")).startswith("c2pa.actions"):
            for action in assertion.get("data", {}).get("actions", []):
                if action.get("digitalSourceType"):
                    yield str(action["digitalSourceType"])
