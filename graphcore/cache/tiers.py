"""Memory before disk: the cache of an engine that has a persistent store."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from graphcore.cache.claims import Claim
from graphcore.cache.codec import Codecs
from graphcore.cache.entry import Cache, CacheEntry, NodeRun
from graphcore.cache.store import DiskStore
from graphcore.keys import Key
from graphcore.registry import Registry
from graphcore.settings import Settings
from graphcore.spec import NodeSpec


def open_store(registry: Registry, settings: Settings) -> DiskStore:
    """The persistent store of these settings, with the registry's codecs and environment."""
    assert settings.data_dir is not None
    return DiskStore(
        settings.data_dir / "cache",
        codecs=Codecs(registry.codec_sources),
        environment=registry.environment(settings),
        budget=settings.store_bytes,
    )


class TieredCache:
    """Asks the memory cache first, then the store; what the store gives is kept in memory too."""

    def __init__(self, memory: Cache, store: DiskStore) -> None:
        self.memory = memory
        self.store = store

    def get(self, key: Key, spec: NodeSpec) -> CacheEntry | None:
        entry = self.memory.get(key, spec)
        if entry is None:
            entry = self.store.get(key, spec)
            if entry is not None:
                self.memory.put(key, spec, entry)
        return entry

    def put(self, key: Key, spec: NodeSpec, entry: CacheEntry) -> None:
        self.memory.put(key, spec, entry)
        if entry.lasting:
            self.store.put(key, spec, entry)

    def known(self, keys: Collection[Key]) -> set[Key]:
        found = self.memory.known(keys)
        return found | self.store.known(set(keys) - found)

    def begin_run(self, keys: Collection[Key]) -> None:
        self.memory.begin_run(keys)

    def claim(self, key: Key, spec: NodeSpec) -> Claim | None:
        return self.store.claim(key, spec)

    def remember(self, runs: Iterable[NodeRun]) -> None:
        self.store.remember(runs)

    def clear(self) -> None:
        self.memory.clear()
        self.store.clear()

    def close(self) -> None:
        self.memory.close()
        self.store.close()
