"""Where each node of a run stands: what it waits for, whether its outputs are there, who still reads them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from heapq import heappop, heappush
from typing import Final

from graphcore.checked import CheckedNode

IDLE: Final = 0
WAITING: Final = 1
RUNNING: Final = 2
DONE: Final = 3
FAILED: Final = 4
_RANK_SHIFT: Final = 40
_INDEX_MASK: Final = (1 << _RANK_SHIFT) - 1

Outputs = tuple[object, ...]


class Ledger:
    """The state of a run's nodes, by index.

    A node is IDLE until it is demanded, and again when its outputs were dropped because nobody reads them any more.
    Ready nodes are popped by rank: the order of the graph, in which branches are finished one by one.
    """

    def __init__(self, nodes: Sequence[CheckedNode]) -> None:
        self.nodes = nodes
        self.state = bytearray()
        self.outputs: list[Outputs | None] = []
        self.readers: list[int] = []
        self.rank: list[int] = []
        self.on_demand = False
        self._missing: list[int] = []
        self._dependents: list[list[int] | None] = []
        self._ready: list[int] = []
        self._waits: dict[int, list[asyncio.Future[None]]] = {}
        self.grow(None)

    def grow(self, place: int | None) -> None:
        """Take in the nodes that were appended; they rank where node `place` does, or in their own order."""
        first, count = len(self.state), len(self.nodes) - len(self.state)
        self.state.extend(bytes(count))
        self.outputs.extend([None] * count)
        self.readers.extend([0] * count)
        self.rank.extend(range(first, first + count) if place is None else [self.rank[place]] * count)
        self._missing.extend([0] * count)
        self._dependents.extend([None] * count)

    def demand(self, index: int) -> list[int]:
        """Mark a node as waiting to run, and return the sources that must be there first."""
        self.state[index] = WAITING
        sources = []
        for link in self.nodes[index].links:
            self.readers[link.source] += 1
            if link.deferred:
                self.on_demand = True
            else:
                sources.append(link.source)
        return sources

    def await_sources(self, index: int) -> int | None:
        """Let a demanded node wait for its sources; returns one that has failed, if any has."""
        missing = 0
        for link in self.nodes[index].links:
            source = link.source
            if link.deferred or self.state[source] == DONE:
                continue
            if self.state[source] == FAILED:
                return source
            listed = self._dependents[source]
            if listed is None:
                self._dependents[source] = [index]
                missing += 1
            elif listed[-1] != index:
                listed.append(index)
                missing += 1
        self._missing[index] = missing
        if missing == 0:
            self.push(index)
        return None

    def push(self, index: int) -> None:
        """A waiting node is ready."""
        self.state[index] = WAITING
        heappush(self._ready, self.rank[index] << _RANK_SHIFT | index)

    def pop(self) -> int | None:
        """The next node to run, or None if none is ready."""
        while self._ready:
            index = heappop(self._ready) & _INDEX_MASK
            if self.state[index] == WAITING:
                return index
        return None

    def done(self, index: int, outputs: Outputs) -> None:
        """A node's outputs are there."""
        self.outputs[index] = outputs
        self.state[index] = DONE

    def settle(self, index: int) -> None:
        """A node that was run needs its sources no more, and those that wait for it may go on."""
        self.release_sources(index)
        listed = self._dependents[index]
        if listed is not None:
            self._dependents[index] = None
            for dependent in listed:
                self._missing[dependent] -= 1
                if self._missing[dependent] == 0 and self.state[dependent] == WAITING:
                    self.push(dependent)
        if self._waits:
            self.wake(index)

    def fail(self, index: int) -> list[int]:
        """A node has no outputs and will have none; returns the nodes that waited for it."""
        self.state[index] = FAILED
        self.release_sources(index)
        self.wake(index)
        listed = self._dependents[index] or []
        self._dependents[index] = None
        return [dependent for dependent in listed if self.state[dependent] == WAITING]

    def release_sources(self, index: int) -> None:
        """A node no longer reads what feeds it."""
        for link in self.nodes[index].links:
            self.release(link.source)

    def release(self, source: int) -> None:
        """One reader less; the outputs that nobody will read are dropped, and can be demanded anew.

        What may not be computed twice is kept where a node may still ask for it.
        """
        self.readers[source] -= 1
        if self.readers[source] > 0 or self.state[source] != DONE:
            return
        if self.nodes[source].spec.uncacheable is None or not self.on_demand:
            self.outputs[source] = None
            self.state[source] = IDLE

    async def wait_for(self, index: int) -> None:
        """Wait until a demanded node is done or has failed."""
        if self.state[index] not in (DONE, FAILED):
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waits.setdefault(index, []).append(future)
            await future

    def wake(self, index: int) -> None:
        """Wake those who wait for a node."""
        for future in self._waits.pop(index, ()):
            if not future.done():
                future.set_result(None)
