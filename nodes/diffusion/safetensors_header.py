"""Safetensors headers: every tensor's name, dtype, shape and place, read without touching the weights.

A file is eight bytes (little-endian length n), n bytes of JSON, and the tensors' bytes without gaps. Reading is
strict: what does not add up is refused with one sentence, before any weight is mapped. No torch is imported here.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, TypeGuard

from graphcore.errors import ModelFileError
from graphcore.files import PICKLE_SUFFIXES, pickle_refusal

LENGTH_BYTES = 8
MAX_HEADER_BYTES = 25_000_000
MAX_TENSORS = 200_000
ITEM_BYTES = {
    "BOOL": 1,
    "U8": 1,
    "I8": 1,
    "F8_E4M3": 1,
    "F8_E5M2": 1,
    "U16": 2,
    "I16": 2,
    "F16": 2,
    "BF16": 2,
    "U32": 4,
    "I32": 4,
    "F32": 4,
    "U64": 8,
    "I64": 8,
    "F64": 8,
}

OTHER_KINDS = {
    b"GGUF": "is a GGUF file, which is not supported; get the model as .safetensors",
    b"version ": "is a pointer of Git LFS and not the file itself; fetch it with 'git lfs pull'",
    b"<": "is a web page and not a model; download the file itself",
}
"""What files that are often taken for safetensors begin with."""


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One tensor: its dtype by its safetensors name ("F16"), its shape, and where its bytes start and end."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int

    @property
    def bytes(self) -> int:
        """Size of the tensor in the file."""
        return self.end - self.start


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What a safetensors file says of itself: its tensors by name, and its free metadata (text by name)."""

    path: Path
    tensors: Mapping[str, TensorInfo]
    metadata: Mapping[str, str]


def read_header(path: Path) -> Header:
    """Read and check the header of a safetensors file.

    Raises ModelFileError if the file is absent, a pickle, truncated, or if its header contradicts itself or the
    length of the file.
    """
    refuse_pickle(path)
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(LENGTH_BYTES)
            length = _header_length(path, start, size)
            text = file.read(length)
    except OSError as error:
        reason = error.strerror or "it could not be read"
        raise ModelFileError(
            f"Cannot open the model file {path.name}: {reason}.", location=str(path)
        ) from error
    if len(text) < length:
        _fail(path, f"is truncated: its header should have {length} bytes, but {len(text)} are there")
    entries = _parse(path, text)
    metadata = _metadata(path, entries.pop("__metadata__", {}))
    if len(entries) > MAX_TENSORS:
        _fail(path, f"lists {len(entries)} tensors, more than the {MAX_TENSORS} allowed")
    tensors = {name: _tensor(path, name, entry) for name, entry in entries.items()}
    _check_places(path, tensors, size - LENGTH_BYTES - length)
    return Header(path=path, tensors=tensors, metadata=metadata)


def refuse_pickle(path: Path) -> None:
    """Raise ModelFileError if the name says that the file is a pickle, which could run any code when opened."""
    if path.suffix.lower() in PICKLE_SUFFIXES:
        raise pickle_refusal(path.name)


def _fail(path: Path, what: str) -> NoReturn:
    raise ModelFileError(
        f"The model file {path.name} {what}; get the file again.",
        code="model-file-damaged",
        location=str(path),
    )


def _header_length(path: Path, start: bytes, size: int) -> int:
    if len(start) < LENGTH_BYTES:
        _fail(path, f"is no safetensors file: it has only {size} bytes")
    _refuse_other_kinds(path, start)
    length = int(struct.unpack("<Q", start)[0])
    if length > MAX_HEADER_BYTES and start.startswith((b"PK\x03\x04", b"\x80")):
        raise ModelFileError(
            f"{path.name} is a Python pickle under another name, which can run any code when it is opened; "
            "convert it once with 'graphcore convert-checkpoint' and use the result.",
            code="pickle-refused",
            location=str(path),
        )
    if length > MAX_HEADER_BYTES:
        _fail(
            path, f"is no safetensors file: its header would have {length} bytes (at most {MAX_HEADER_BYTES})"
        )
    if length + LENGTH_BYTES > size:
        _fail(path, f"is truncated: its header needs {length + LENGTH_BYTES} bytes, but the file has {size}")
    return length


def _refuse_other_kinds(path: Path, start: bytes) -> None:
    """Eight bytes that are a sensible length hold zeros; what holds none may be another kind of file."""
    for first, told in OTHER_KINDS.items():
        if start.startswith(first) and (first == b"GGUF" or 0 not in start):
            raise ModelFileError(
                f"The model file {path.name} {told}.", code="model-file-damaged", location=str(path)
            )


def _parse(path: Path, text: bytes) -> dict[str, object]:
    def unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
        names = dict(pairs)
        if len(names) != len(pairs):
            _fail(path, "has a damaged header: a name appears twice in it")
        return names

    try:
        entries = json.loads(text.decode("utf-8"), object_pairs_hook=unique)
    except (ValueError, RecursionError):
        _fail(path, "has a damaged header: it is not JSON")
    if not isinstance(entries, dict):
        _fail(path, "has a damaged header: it is not a JSON object")
    return entries


def _metadata(path: Path, entry: object) -> dict[str, str]:
    if not isinstance(entry, dict) or not all(isinstance(value, str) for value in entry.values()):
        _fail(path, "has a damaged header: its metadata are not text by name")
    return entry


def _tensor(path: Path, name: str, entry: object) -> TensorInfo:
    shown = ascii(name[:80])
    if not isinstance(entry, dict):
        _fail(path, f"has a damaged header: the entry of tensor {shown} is not an object")
    dtype, shape, offsets = entry.get("dtype"), entry.get("shape"), entry.get("data_offsets")
    if not isinstance(dtype, str) or dtype not in ITEM_BYTES:
        _fail(path, f"holds tensor {shown} with the unknown dtype {ascii(dtype)[:40]}")
    if not _are_counts(shape) or len(shape) > 8:
        _fail(path, f"has a damaged header: the shape of tensor {shown} is not a list of counts")
    if not _are_counts(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        _fail(path, f"has a damaged header: the offsets of tensor {shown} are not a start and an end")
    needed = math.prod(shape) * ITEM_BYTES[dtype]
    if needed != offsets[1] - offsets[0]:
        _fail(
            path,
            f"has a damaged header: tensor {shown} of shape {shape} and dtype {dtype} needs {needed} bytes, "
            f"but {offsets[1] - offsets[0]} are given",
        )
    return TensorInfo(dtype, tuple(shape), offsets[0], offsets[1])


def _are_counts(values: object) -> TypeGuard[list[int]]:
    return isinstance(values, list) and all(type(value) is int and 0 <= value < 2**63 for value in values)


def _check_places(path: Path, tensors: Mapping[str, TensorInfo], data_bytes: int) -> None:
    position = 0
    for name, info in sorted(tensors.items(), key=lambda item: (item[1].start, item[1].end)):
        shown = ascii(name[:80])
        if info.end > data_bytes:
            _fail(path, f"is truncated: tensor {shown} ends at byte {info.end} of {data_bytes}")
        if info.start != position:
            fault = "overlaps another" if info.start < position else "leaves a gap before it"
            _fail(path, f"has a damaged header: tensor {shown} {fault}")
        position = info.end
    if position != data_bytes:
        _fail(path, f"has {data_bytes - position} bytes after its last tensor that belong to none")
