"""Equal work is done once: its result is taken if it is there, and waited for while somebody else computes it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from typing import Final

from graphcore.cache.entry import CacheEntry
from graphcore.cache.standing import still_there
from graphcore.errors import InputError
from graphcore.exclusive_work import ExclusiveWork
from graphcore.journal import Journal
from graphcore.keys import Key
from graphcore.ledger import DONE
from graphcore.run_graph import RunGraph
from graphcore.run_options import RunHouse

_CLAIM_POLL_S: Final = 0.05
_NO_FACTS: Final[Mapping[str, object]] = {}


class EqualWork:
    """What others have done under the keys of a run: its own nodes, other runs of the engine, other processes."""

    def __init__(self, graph: RunGraph, house: RunHouse, journal: Journal) -> None:
        self._graph = graph
        self._cache = house.cache
        self._files = house.services.files
        self._flights = house.flights
        self._journal = journal
        self._exclusive = ExclusiveWork(house.flights, house.cache)
        self._ended_elsewhere = house.flights.ended
        self._twins: dict[Key, int] = {}
        self._waited: set[int] = set()

    def found(self, index: int, key: Key, *, look: bool) -> CacheEntry | None:
        """The result of an equal node that was computed since this one was demanded.

        The cache is asked if `look` says so, or where it may have the result by now.
        """
        twin = self._twins.get(key)
        if twin is not None and self._graph.ledger.state[twin] == DONE:
            outputs = self._graph.ledger.outputs[twin]
            assert outputs is not None
            shown = self._journal.shown.get(self._graph.nodes[twin].id, ())
            return CacheEntry(outputs, shown, _NO_FACTS, 0.0, 0)
        look = look or twin is not None or index in self._waited
        if not look and self._flights.ended == self._ended_elsewhere:
            return None
        spec = self._graph.nodes[index].spec
        entry = self._cache.get(key, spec) if spec.uncacheable is None else None
        return entry if entry is not None and still_there(entry, self._files) else None

    def under_way(self, index: int, key: Key) -> Awaitable[None] | None:
        """What to wait for before looking again, if somebody else computes this key; else it is claimed.

        Raises InputError for a node that would wait for itself.
        """
        if self._flights.under_way(key):
            if self._graph.expands_into_itself(index, key):
                raise InputError(
                    "The node expands into itself with the same inputs, which never ends; change an input each time.",
                    code="expansion-budget",
                )
            self._waited.add(index)
            return self._flights.wait(key)
        if self._graph.lasts(index) and not self._exclusive.claim(index, key, self._graph.nodes[index].spec):
            self._waited.add(index)
            return asyncio.sleep(_CLAIM_POLL_S)
        return None

    def board(self, index: int, key: Key) -> None:
        """Let others wait for this node, as it goes on beside them."""
        if self._graph.nodes[index].spec.uncacheable is None:
            self._exclusive.board(key)

    def keep(self, index: int, key: Key, entry: CacheEntry) -> None:
        """Node `index` has computed this key, for all."""
        entry.lasting = self._graph.lasts(index)
        self._cache.put(key, self._graph.nodes[index].spec, entry)
        self._twins[key] = index
        self.end(index, key)

    def end(self, index: int, key: Key) -> None:
        """The work on a key has ended, however it did."""
        self._exclusive.end(index, key)
        self._ended_elsewhere += 1

    def end_all(self) -> None:
        """The run is over: nobody waits for it in vain."""
        self._exclusive.end_all()
