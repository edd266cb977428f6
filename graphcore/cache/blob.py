"""The file of one stored result: it says whose it is and proves that it is whole.

    "GCB1"  length of the header (4 bytes, big-endian)  header (JSON)  parts …  SHA-256 of all that stands before

The header holds the entry's name (the stored key), its parts (codec and length), what was shown, facts,
seconds and size.
"""

from __future__ import annotations

import hashlib
import json
import struct
from typing import Final

from graphcore.cache.codec import Codecs
from graphcore.cache.entry import CacheEntry
from graphcore.errors import CacheError
from graphcore.lists import Each

MAGIC: Final = b"GCB1"
_LENGTH: Final = struct.Struct(">I")
_DIGEST_BYTES: Final = 32
_MAX_HEADER: Final = 16 * 2**20


def pack(name: str, entry: CacheEntry, codecs: Codecs) -> bytes | None:
    """The bytes of an entry, or None if one of its values has no codec."""
    parts: list[bytes] = []
    outputs = []
    for value in entry.outputs:
        described = _pack_value(value, codecs, parts)
        if described is None:
            return None
        outputs.append(described)
    try:
        header = json.dumps(
            {
                "name": name,
                "outputs": outputs,
                "shown": list(entry.shown),
                "facts": dict(entry.facts),
                "seconds": entry.seconds,
                "size": entry.size,
            }
        ).encode()
    except (TypeError, ValueError):
        return None
    body = b"".join((MAGIC, _LENGTH.pack(len(header)), header, *parts))
    return body + hashlib.sha256(body).digest()


def _pack_value(value: object, codecs: Codecs, parts: list[bytes]) -> dict[str, object] | None:
    if isinstance(value, Each):
        items = []
        for item in value.items:
            described = _pack_value(item, codecs, parts)
            if described is None:
                return None
            items.append(described)
        return {"each": items}
    codec = codecs.writer(value)
    if codec is None:
        return None
    data = codec.encode(value)
    parts.append(data)
    return {"codec": codec.name, "length": len(data)}


def unpack(data: bytes, name: str, codecs: Codecs) -> CacheEntry:
    """The entry in these bytes; raises CacheError if they are damaged, or another entry's."""
    header, start = read_header(data)
    if header.get("name") != name:
        raise CacheError("The stored entry belongs to another key.", code="foreign-entry", location=name)
    try:
        offset = start
        outputs = []
        for described in header["outputs"]:  # type: ignore[attr-defined]
            value, offset = _unpack_value(described, data, offset, codecs)
            outputs.append(value)
        return CacheEntry(
            outputs=tuple(outputs),
            shown=tuple(header["shown"]),  # type: ignore[arg-type]
            facts=dict(header["facts"]),  # type: ignore[call-overload]
            seconds=float(header["seconds"]),  # type: ignore[arg-type]
            size=max(1, int(header["size"])),  # type: ignore[call-overload]
        )
    except CacheError:
        raise
    except Exception as error:
        raise CacheError(
            f"The stored entry cannot be read: {error}.", code="damaged-entry", location=name
        ) from error


def read_header(data: bytes) -> tuple[dict[str, object], int]:
    """The header of a blob and where its parts begin; raises CacheError if the blob is damaged."""
    body, digest = data[:-_DIGEST_BYTES], data[-_DIGEST_BYTES:]
    if len(data) < len(MAGIC) + _LENGTH.size + _DIGEST_BYTES or not body.startswith(MAGIC):
        raise CacheError("The stored entry is not one, or is truncated.", code="damaged-entry")
    if hashlib.sha256(body).digest() != digest:
        raise CacheError("The stored entry's digest is wrong.", code="damaged-entry")
    (length,) = _LENGTH.unpack_from(data, len(MAGIC))
    start = len(MAGIC) + _LENGTH.size + length
    if length > _MAX_HEADER or start > len(body):
        raise CacheError("The stored entry's header is too long.", code="damaged-entry")
    try:
        header = json.loads(body[len(MAGIC) + _LENGTH.size : start])
    except ValueError as error:
        raise CacheError("The stored entry's header is not JSON.", code="damaged-entry") from error
    if not isinstance(header, dict):
        raise CacheError("The stored entry's header is not an object.", code="damaged-entry")
    return header, start


def _unpack_value(
    described: dict[str, object], data: bytes, offset: int, codecs: Codecs
) -> tuple[object, int]:
    items = described.get("each")
    if isinstance(items, list):
        values = []
        for item in items:
            value, offset = _unpack_value(item, data, offset, codecs)
            values.append(value)
        return Each(values), offset
    length = int(described["length"])  # type: ignore[call-overload]
    codec = codecs.reader(str(described["codec"]))
    return codec.decode(data[offset : offset + length]), offset + length
