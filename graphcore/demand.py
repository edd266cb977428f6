"""Nodes are demanded from the targets upwards, so that what a cached result hides is never looked at."""

from __future__ import annotations

from collections.abc import Iterable

from graphcore.cache.entry import CacheEntry
from graphcore.cache.standing import still_there
from graphcore.failures import Failures, UpstreamFailed
from graphcore.journal import Journal
from graphcore.ledger import FAILED, IDLE, WAITING
from graphcore.run_graph import RunGraph
from graphcore.run_options import RunHouse
from graphcore.tasks import Tasks


class Demand:
    """Makes sure that outputs will be there: taken from the cache, or made by nodes that wait to run."""

    def __init__(
        self, graph: RunGraph, house: RunHouse, journal: Journal, failures: Failures, tasks: Tasks
    ) -> None:
        self._graph = graph
        self._cache = house.cache
        self._files = house.services.files
        self._journal = journal
        self._failures = failures
        self._tasks = tasks

    def begin(self, targets: Iterable[int]) -> None:
        """Demand what the run is for, and tell what is in the cache of the whole graph."""
        keys = [key for key in self._graph.keys.keys if key is not None]
        self._cache.begin_run(keys)
        for index in targets:
            self._graph.ledger.readers[index] += 1
        used = self._mark(targets)
        found = self._cache.known(set(keys))
        known = [
            node.id
            for node, key in zip(self._graph.nodes, self._graph.keys.keys, strict=True)
            if key in found
        ]
        self._tell_used(used, tuple(known if found else ()))

    def demand(self, wanted: Iterable[int]) -> None:
        """Make sure that these nodes' outputs will be there."""
        used = self._mark(wanted)
        if used:
            self._tell_used(used, None)

    async def obtain(self, wanted: list[int]) -> None:
        """Wait until these nodes' outputs are there; raises UpstreamFailed if one of them has failed."""
        ledger = self._graph.ledger
        self.demand(wanted)
        self._tasks.wake()
        for index in wanted:
            await ledger.wait_for(index)
            if ledger.state[index] == FAILED:
                raise UpstreamFailed(index)

    def take(self, index: int, entry: CacheEntry) -> None:
        """Use a result that is there as the outputs of node `index`."""
        self._graph.ledger.done(index, entry.outputs)
        key = self._graph.keys.keys[index]
        assert key is not None
        self._journal.report(self._graph.nodes[index], key, entry)

    def _mark(self, wanted: Iterable[int]) -> list[int]:
        """Let all that must run wait for its sources; returns those that were taken from the cache."""
        nodes, keys, ledger = self._graph.nodes, self._graph.keys.keys, self._graph.ledger
        needed: list[int] = []
        used: list[int] = []
        stack = list(wanted)
        while stack:
            index = stack.pop()
            if ledger.state[index] != IDLE:
                continue
            spec, key = nodes[index].spec, keys[index]
            entry = self._cache.get(key, spec) if key is not None and spec.uncacheable is None else None
            if entry is not None and still_there(entry, self._files):
                self.take(index, entry)
                used.append(index)
                continue
            needed.append(index)
            stack.extend(ledger.demand(index))
        for index in needed:
            if ledger.state[index] == WAITING:
                failed = ledger.await_sources(index)
                if failed is not None:
                    self._failures.skip(index, failed)
        return used

    def _tell_used(self, used: list[int], known: tuple[str, ...] | None) -> None:
        nodes = self._graph.nodes
        taken = tuple([nodes[index].id for index in used])
        self._journal.cached(taken if known is None else known, taken)
        for index in used:
            if nodes[index].spec.output:
                self._journal.finished(nodes[index], 0.0, cached=True)
