"""A cache of the last N results, whatever their size: ComfyUI's `--cache-lru`."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Collection, Iterable

from graphcore.cache.claims import FREE, Claim
from graphcore.cache.entry import CacheEntry, NodeRun
from graphcore.keys import Key
from graphcore.spec import NodeSpec


class LruCache:
    """Keeps the `count` results that were used last."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._entries: OrderedDict[Key, CacheEntry] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Key, spec: NodeSpec) -> CacheEntry | None:
        with self._lock:
            entry = self._entries.get(key)
            if entry is not None:
                self._entries.move_to_end(key)
            return entry

    def put(self, key: Key, spec: NodeSpec, entry: CacheEntry) -> None:
        with self._lock:
            self._entries[key] = entry
            self._entries.move_to_end(key)
            while len(self._entries) > self.count:
                self._entries.popitem(last=False)

    def known(self, keys: Collection[Key]) -> set[Key]:
        entries = self._entries
        return {key for key in keys if key in entries}

    def begin_run(self, keys: Collection[Key]) -> None:
        return None

    def claim(self, key: Key, spec: NodeSpec) -> Claim | None:
        return FREE

    def remember(self, runs: Iterable[NodeRun]) -> None:
        return None

    def close(self) -> None:
        self.clear()

    def clear(self) -> None:
        with self._lock:
            self._entries.clear()
