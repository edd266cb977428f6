"""Frames on a pipe: two 32-bit big-endian lengths, a JSON object, and bytes that go with it (a preview, say)."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import BinaryIO, Final

_LENGTHS: Final = struct.Struct(">II")
MAX_MESSAGE: Final = 256 * 2**20


class FrameError(Exception):
    """The bytes on the pipe are no frames: the other side is not ours, or is broken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One message: a JSON object, and bytes that go with it."""

    message: Mapping[str, object]
    payload: bytes = b""

    @property
    def op(self) -> str:
        """What the message is about."""
        return str(self.message.get("op", ""))


def encode_frame(message: Mapping[str, object], payload: bytes = b"") -> bytes:
    """The bytes of a frame."""
    text = json.dumps(message, separators=(",", ":"), default=str).encode("utf-8", "backslashreplace")
    return _LENGTHS.pack(len(text), len(payload)) + text + payload


def read_frame(stream: BinaryIO) -> Frame | None:
    """The next frame of a blocking stream, or None at its end; raises FrameError for what is no frame."""
    head = stream.read(_LENGTHS.size)
    if len(head) < _LENGTHS.size:
        return None
    text_size, payload_size = _checked(*_LENGTHS.unpack(head))
    text, payload = stream.read(text_size), stream.read(payload_size)
    if len(text) < text_size or len(payload) < payload_size:
        return None
    return _frame(text, payload)


@dataclass(slots=True)
class FrameReader:
    """Puts frames together from pieces of a stream."""

    _buffer: bytearray = field(default_factory=bytearray)

    def feed(self, data: bytes) -> list[Frame]:
        """Add a piece; returns the frames that are complete. Raises FrameError for what is no frame."""
        buffer = self._buffer
        buffer += data
        start = 0
        frames: list[Frame] = []
        while len(buffer) - start >= _LENGTHS.size:
            text_size, payload_size = _checked(*_LENGTHS.unpack_from(buffer, start))
            text_start = start + _LENGTHS.size
            payload_start = text_start + text_size
            end = payload_start + payload_size
            if len(buffer) < end:
                break
            frames.append(_frame(bytes(buffer[text_start:payload_start]), bytes(buffer[payload_start:end])))
            start = end
        del buffer[:start]
        return frames


def _checked(text_size: int, payload_size: int) -> tuple[int, int]:
    if text_size > MAX_MESSAGE or payload_size > MAX_MESSAGE:
        raise FrameError(
            f"A frame announces {text_size} + {payload_size} bytes, and the limit is {MAX_MESSAGE} each."
        )
    return text_size, payload_size


def _frame(text: bytes, payload: bytes) -> Frame:
    try:
        message = json.loads(text)
    except ValueError as error:
        raise FrameError("A frame does not hold JSON.") from error
    if not isinstance(message, dict):
        raise FrameError("A frame does not hold a JSON object.")
    return Frame(message=message, payload=payload)
