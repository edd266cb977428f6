"""What happens in a run: told to its listener as numbered events, and kept for its result."""

from __future__ import annotations

import time
from collections.abc import Mapping
from itertools import count
from typing import Final

from graphcore.cache.entry import CacheEntry
from graphcore.calling import Failure
from graphcore.checked import CheckedNode
from graphcore.context import Preview
from graphcore.errors import GraphcoreError
from graphcore.events import (
    Listener,
    NodeBlocked,
    NodeExpanded,
    NodeFailed,
    NodeFinished,
    NodeProgress,
    NodesCached,
    NodeSkipped,
    NodeStarted,
    RunFinished,
    RunStarted,
    RunState,
)
from graphcore.keys import Key
from graphcore.results import NodeReport

_NOTHING: Final[tuple[Mapping[str, object], ...]] = ()


class Journal:
    """The journal of one run: `shown` and `errors` by node, and a report of each node that was done."""

    def __init__(self, listener: Listener) -> None:
        self.shown: dict[str, tuple[Mapping[str, object], ...]] = {}
        self.errors: dict[str, GraphcoreError] = {}
        self.reports: list[NodeReport] = []
        self._tell = listener
        self._number = count().__next__
        self._begun = time.perf_counter()

    def seconds(self) -> float:
        """How long the run has taken so far."""
        return time.perf_counter() - self._begun

    def run_started(self, run_id: str, nodes: int) -> None:
        """The run may have to run so many nodes."""
        self._tell(RunStarted(self._number(), time.time(), run_id, nodes))

    def run_finished(self, state: RunState, error: GraphcoreError | None) -> float:
        """The run has ended; returns how long it took."""
        seconds = self.seconds()
        told = error.as_json() if error is not None else None
        self._tell(RunFinished(self._number(), time.time(), state, seconds, told))
        return seconds

    def cached(self, known: tuple[str, ...], used: tuple[str, ...]) -> None:
        """Results of these nodes are there already, and those of `used` are taken."""
        self._tell(NodesCached(self._number(), time.time(), known, used))

    def started(self, node: CheckedNode) -> None:
        """A node has begun."""
        self._tell(NodeStarted(self._number(), time.time(), node.id, node.spec.name))

    def progressed(self, node: CheckedNode, done: int, total: int, preview: Preview | None) -> None:
        """A node has done so many of its steps."""
        self._tell(NodeProgress(self._number(), time.time(), node.id, done, total, preview))

    def expanded(self, node: CheckedNode, ids: tuple[str, ...], stands_for: Mapping[str, str]) -> None:
        """A node has put others in its place."""
        self._tell(NodeExpanded(self._number(), time.time(), node.id, ids, dict(stands_for)))

    def finished(self, node: CheckedNode, seconds: float, *, cached: bool) -> None:
        """A node's outputs are there."""
        shown = self.shown.get(node.id, _NOTHING)
        self._tell(NodeFinished(self._number(), time.time(), node.id, seconds, shown, cached))

    def failed(self, node: CheckedNode, failure: Failure) -> None:
        """A node failed."""
        self.errors[node.id] = failure.error
        told = failure.error.as_json()
        self._tell(NodeFailed(self._number(), time.time(), node.id, node.spec.name, told, failure.traceback))

    def skipped(self, node: CheckedNode, reason: str) -> None:
        """A node is not run."""
        self._tell(NodeSkipped(self._number(), time.time(), node.id, reason))

    def blocked(self, node: CheckedNode, message: str) -> None:
        """A blocker with a message stopped a node, or an item that it is run for."""
        self._tell(NodeBlocked(self._number(), time.time(), node.id, node.spec.name, message))

    def report(self, node: CheckedNode, key: Key, entry: CacheEntry, begun: float | None = None) -> None:
        """Keep how a node was done: run from `begun` on, by `time.perf_counter`, or taken from what was there."""
        if entry.shown:
            self.shown[node.id] = entry.shown
        self.reports.append(
            NodeReport(
                node=node.id,
                type=node.spec.name,
                key=key,
                source="cache" if begun is None else "run",
                start=(time.perf_counter() if begun is None else begun) - self._begun,
                seconds=0.0 if begun is None else entry.seconds,
                size=entry.size,
                facts=entry.facts,
            )
        )
