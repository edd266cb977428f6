"""Reads the workflow that a picture carries: PNG text, and EXIF of WebP and JPEG.

PNG: text chunks named `prompt`, `workflow` (ComfyUI), `parameters` (A1111), `graphcore` and
`graphcore_record` (ours), `invokeai_metadata`, `sd-metadata` (InvokeAI), `Comment` and `Source` (NovelAI).
WebP, JPEG: EXIF texts `prompt:{...}` and `workflow:{...}` in the tags Model (0x0110), Make (0x010F) and those
below them (ComfyUI), and A1111's parameters in UserComment (0x9286). Only headers are read: no pixel is decoded.
"""

from __future__ import annotations

import io
import re
import struct
import warnings
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from graphcore.errors import DocumentError

MAX_PICTURE_BYTES = 256 * 2**20
MAX_TEXT_BYTES = 64 * 2**20
NAMES = {
    "prompt": "prompt",
    "workflow": "workflow",
    "parameters": "parameters",
    "graphcore": "graphcore",
    "graphcore_record": "graphcore_record",
    "invokeai_metadata": "settings",
    "sd-metadata": "settings",
    "Comment": "settings",
    "Source": "source",
}
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
EXIF_POINTER = 0x8769
USER_COMMENT = 0x9286
TAGGED_TEXT = re.compile(r"(prompt|workflow|graphcore_record|graphcore|parameters):", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureMetadata:
    """The texts found in a picture; None where there is none. `settings` is JSON of other programs, of `source`."""

    prompt: str | None = None
    workflow: str | None = None
    parameters: str | None = None
    graphcore: str | None = None
    graphcore_record: str | None = None
    settings: str | None = None
    source: str | None = None


def read_metadata(data: bytes, *, max_bytes: int = MAX_PICTURE_BYTES) -> PictureMetadata:
    """The workflow texts of a PNG, WebP or JPEG picture.

    Raises DocumentError: `picture-too-large`, `not-a-picture` (no such format, or damaged),
    `metadata-too-large`.
    """
    if len(data) > max_bytes:
        raise DocumentError(
            f"The picture has {len(data)} bytes; at most {max_bytes} are read.", code="picture-too-large"
        )
    if data.startswith(PNG_SIGNATURE):
        return PictureMetadata(**_named(_png_texts(data)))
    return PictureMetadata(**_named(_exif_texts(data)))


def _named(texts: Iterator[tuple[str, str]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, text in texts:
        if name in NAMES:
            found.setdefault(NAMES[name], text)
    return found


def _png_texts(data: bytes) -> Iterator[tuple[str, str]]:
    """The tEXt, zTXt and iTXt chunks, wherever in the file they stand."""
    position = len(PNG_SIGNATURE)
    left = MAX_TEXT_BYTES
    while position + 12 <= len(data):
        length = int.from_bytes(data[position : position + 4], "big")
        kind = data[position + 4 : position + 8]
        body = data[position + 8 : position + 8 + length]
        if len(body) < length:
            raise _damaged("it ends in the middle of a chunk")
        position += 12 + length
        if kind in (b"tEXt", b"zTXt", b"iTXt"):
            keyword, _, rest = body.partition(b"\0")
            text = _chunk_text(kind, rest, left)
            left -= len(text)
            yield keyword.decode("latin-1"), text
        if kind == b"IEND":
            return


def _chunk_text(kind: bytes, rest: bytes, limit: int) -> str:
    if kind == b"tEXt":
        return _decoded(_within(rest, limit))
    if kind == b"zTXt":
        return _decoded(_inflate(rest[1:], limit))
    compressed = rest[:1] == b"\1"
    text = b"".join(rest[2:].split(b"\0", 2)[2:])
    return _decoded(_inflate(text, limit) if compressed else _within(text, limit))


def _inflate(data: bytes, limit: int) -> bytes:
    inflater = zlib.decompressobj()
    try:
        text = inflater.decompress(data, limit + 1)
    except zlib.error as error:
        raise _damaged("a compressed text in it cannot be read") from error
    return _within(text, limit)


def _within(text: bytes, limit: int) -> bytes:
    if len(text) > limit:
        raise DocumentError(
            f"The picture's metadata has more than {MAX_TEXT_BYTES} bytes.", code="metadata-too-large"
        )
    return text


def _decoded(text: bytes) -> str:
    """UTF-8, which ComfyUI and A1111 write, or else the Latin-1 that the PNG standard names."""
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError:
        return text.decode("latin-1")


def _exif_texts(data: bytes) -> Iterator[tuple[str, str]]:
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=("WEBP", "JPEG", "PNG", "GIF")) as picture:
                exif = picture.getexif()
                values: Mapping[int, object] = dict(exif)
                comment = exif.get_ifd(EXIF_POINTER).get(USER_COMMENT) or values.get(USER_COMMENT)
    except UnidentifiedImageError as error:
        raise DocumentError("The file is not a PNG, WebP or JPEG picture.", code="not-a-picture") from error
    except (
        OSError,
        SyntaxError,
        struct.error,
        ValueError,
        TypeError,
        KeyError,
        Image.DecompressionBombError,
    ) as error:
        raise _damaged("its EXIF data cannot be read") from error
    for value in values.values():
        text = _exif_string(value)
        tag = TAGGED_TEXT.match(text)
        if tag:
            yield tag[1].lower(), text[tag.end() :]
    if isinstance(comment, (bytes, str)):
        yield "parameters", _user_comment(comment)


def _exif_string(value: object) -> str:
    if isinstance(value, bytes):
        value = _decoded(_within(value, MAX_TEXT_BYTES))
    return value.rstrip("\0") if isinstance(value, str) else ""


def _user_comment(comment: bytes | str) -> str:
    """The text of an EXIF UserComment, whose first 8 bytes name its encoding."""
    if isinstance(comment, str):
        return comment.rstrip("\0")
    encoding, text = comment[:8], _within(comment[8:], MAX_TEXT_BYTES)
    if encoding.startswith(b"UNICODE"):
        codec = "utf-16-le" if text[1:2] == b"\0" and text[:1] != b"\0" else "utf-16-be"
        return text.decode(codec, errors="replace").rstrip("\0")
    if encoding in (b"ASCII\0\0\0", b"\0" * 8):
        return _decoded(text).rstrip("\0")
    return _decoded(comment).rstrip("\0")


def _damaged(how: str) -> DocumentError:
    return DocumentError(f"The picture is damaged: {how}.", code="not-a-picture")
