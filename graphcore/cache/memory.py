"""The memory cache: bounded in bytes, keeps what is dear to compute and small to hold.

Eviction is GreedyDual-Size (Cao and Irani, 1997): an entry's worth is its recompute-seconds per byte plus the worth
of what was last thrown out, so that what is no longer used ages without a clock.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from graphcore.cache.claims import FREE, Claim
from graphcore.cache.entry import CacheEntry, NodeRun
from graphcore.keys import Key
from graphcore.spec import NodeSpec


@dataclass(frozen=True, slots=True)
class CacheStatistics:
    """What a cache holds and how it has done."""

    entries: int
    size: int
    budget: int
    hits: int
    misses: int
    evictions: int


class MemoryCache:
    """Results in memory, at most `budget` bytes of them."""

    def __init__(self, budget: int = 2 * 2**30) -> None:
        self.budget = budget
        self._entries: dict[Key, CacheEntry] = {}
        self._worth: dict[Key, float] = {}
        self._size = 0
        self._age = 0.0
        self._hits = self._misses = self._evictions = 0
        self._lock = threading.Lock()

    def get(self, key: Key, spec: NodeSpec) -> CacheEntry | None:
        entry = self._entries.get(key)
        if entry is None:
            self._misses += 1
            return None
        self._hits += 1
        self._worth[key] = self._age + entry.seconds / max(1, entry.size)
        return entry

    def put(self, key: Key, spec: NodeSpec, entry: CacheEntry) -> None:
        if entry.size > self.budget:
            return
        with self._lock:
            previous = self._entries.get(key)
            if previous is not None:
                self._size -= previous.size
            self._entries[key] = entry
            self._worth[key] = self._age + entry.seconds / max(1, entry.size)
            self._size += entry.size
            if self._size > self.budget:
                self._evict()

    def _evict(self) -> None:
        """Throw out the least worth until a tenth of the budget is free, so that the sort pays for many puts."""
        goal = self.budget * 9 // 10
        for key in sorted(self._entries, key=lambda key: self._worth.get(key, 0.0)):
            if self._size <= goal and self._size <= self.budget:
                break
            entry = self._entries.pop(key)
            self._age = max(self._age, self._worth.pop(key, 0.0))
            self._size -= entry.size
            self._evictions += 1

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
        return None

    def clear(self) -> None:
        with self._lock:
            self._entries.clear()
            self._worth.clear()
            self._size = 0

    def statistics(self) -> CacheStatistics:
        """What the cache holds and how it has done."""
        return CacheStatistics(
            len(self._entries), self._size, self.budget, self._hits, self._misses, self._evictions
        )
