"""Codecs: how values become bytes in the persistent store, and values again.

The engine knows plain values (JSON). Packs bring codecs for theirs (`Registry.add_codecs`); these are loaded when the
first value that needs one is stored or read. A value that no codec takes is not stored.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable
from typing import Protocol

from graphcore.errors import CacheError


class Codec(Protocol):
    """Turns values of some kind into bytes and back, exactly."""

    @property
    def name(self) -> str:
        """The name stored beside the bytes; changed when the format does."""
        ...

    def accepts(self, value: object) -> bool:
        """True if the codec can write this value."""
        ...

    def encode(self, value: object) -> bytes:
        """The value's bytes."""
        ...

    def decode(self, data: bytes) -> object:
        """The value of these bytes; raises any exception for bytes that it did not write."""
        ...


CodecSource = Callable[[], Iterable[Codec]]


class PlainCodec:
    """None, booleans, integers, floats, text, and lists and objects of them."""

    name = "json-1"

    def accepts(self, value: object) -> bool:
        pending = [value]
        while pending:
            item = pending.pop()
            if isinstance(item, list):
                pending.extend(item)
            elif isinstance(item, dict):
                if not all(type(name) is str for name in item):
                    return False
                pending.extend(item.values())
            elif not (item is None or type(item) in (bool, int, float, str)):
                return False
        return True

    def encode(self, value: object) -> bytes:
        return json.dumps(value, ensure_ascii=True, separators=(",", ":")).encode()

    def decode(self, data: bytes) -> object:
        return json.loads(data)


class Codecs:
    """The codecs of one engine, plain values first."""

    def __init__(self, sources: Iterable[CodecSource] = ()) -> None:
        self._sources = list(sources)
        self._codecs: list[Codec] = [PlainCodec()]
        self._lock = threading.Lock()

    def _loaded(self) -> list[Codec]:
        with self._lock:
            while self._sources:
                self._codecs.extend(self._sources.pop(0)())
        return self._codecs

    def writer(self, value: object) -> Codec | None:
        """The codec that writes this value, or None."""
        if self._codecs[0].accepts(value):
            return self._codecs[0]
        return next((codec for codec in self._loaded() if codec.accepts(value)), None)

    def reader(self, name: str) -> Codec:
        """The codec of this name; raises CacheError if there is none."""
        if name == self._codecs[0].name:
            return self._codecs[0]
        for codec in self._loaded():
            if codec.name == name:
                return codec
        raise CacheError(f"There is no codec '{name}' here.", code="unknown-codec")
