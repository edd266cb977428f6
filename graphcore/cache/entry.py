"""A cached result, and what every cache can do."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from graphcore.cache.claims import FREE, Claim
from graphcore.keys import Key
from graphcore.spec import NodeSpec


@dataclass(slots=True, eq=False)
class CacheEntry:
    """A node's outputs, what it showed, the facts it noted, and what it cost.

    One that is not `lasting` may be reused by this process alone.
    """

    outputs: tuple[object, ...]
    shown: tuple[Mapping[str, object], ...]
    facts: Mapping[str, object]
    seconds: float
    size: int
    lasting: bool = True


class Cache(Protocol):
    """Keeps results between runs. A cache never fails a run: what it cannot keep or read is a miss."""

    def get(self, key: Key, spec: NodeSpec) -> CacheEntry | None:
        """The entry of a key, or None."""
        ...

    def put(self, key: Key, spec: NodeSpec, entry: CacheEntry) -> None:
        """Keep an entry, if there is room for it."""
        ...

    def known(self, keys: Collection[Key]) -> set[Key]:
        """Which of these keys have an entry."""
        ...

    def begin_run(self, keys: Collection[Key]) -> None:
        """Told of the keys of each run before it starts."""
        ...

    def claim(self, key: Key, spec: NodeSpec) -> Claim | None:
        """The right to compute this key, or None while another process that shares the cache has it."""
        ...

    def remember(self, runs: Iterable[NodeRun]) -> None:
        """Told how the nodes of a run came out, when it has ended."""
        ...

    def clear(self) -> None:
        """Forget everything."""
        ...

    def close(self) -> None:
        """Write what is waiting and let go of files."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRun:
    """What is remembered of one node of a run.

    `inputs` has a digest of each input, `work` tells apart work of other size (steps, pixels); `seconds` is None
    for a result that came from a cache.
    """

    node: str
    type: str
    version: int
    inputs: Mapping[str, str]
    work: str
    seconds: float | None
    size: int


class NoCache:
    """Keeps nothing."""

    def get(self, key: Key, spec: NodeSpec) -> CacheEntry | None:
        return None

    def put(self, key: Key, spec: NodeSpec, entry: CacheEntry) -> None:
        return None

    def known(self, keys: Collection[Key]) -> set[Key]:
        return set()

    def begin_run(self, keys: Collection[Key]) -> None:
        return None

    def claim(self, key: Key, spec: NodeSpec) -> Claim | None:
        return FREE

    def remember(self, runs: Iterable[NodeRun]) -> None:
        return None

    def clear(self) -> None:
        return None

    def close(self) -> None:
        return None
