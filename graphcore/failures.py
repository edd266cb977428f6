"""What failed or was blocked in a run, and the nodes that are not run for it."""

from __future__ import annotations

from graphcore.calling import failure
from graphcore.errors import GraphcoreError
from graphcore.journal import Journal
from graphcore.ledger import FAILED
from graphcore.lists import Blocked
from graphcore.run_graph import RunGraph


class UpstreamFailed(Exception):
    """A node asked for the output of node `index`, which failed."""

    def __init__(self, index: int) -> None:
        super().__init__(index)
        self.index = index


class BlockedInput(Exception):
    """A node asked for an input that is blocked."""

    def __init__(self, blocked: Blocked) -> None:
        super().__init__(blocked.message)
        self.blocked = blocked


class Failures:
    """The failures of one run; `fatal` is the one that ends it, if any has."""

    def __init__(self, graph: RunGraph, journal: Journal, *, keep_going: bool) -> None:
        self.fatal: GraphcoreError | None = None
        self._graph = graph
        self._journal = journal
        self._keep_going = keep_going

    def crash(self, error: BaseException) -> None:
        """Something failed that is no node: the cache, a service, the engine itself."""
        self.fatal = GraphcoreError(
            f"The run broke off: {type(error).__name__}: {error}; please report this.", code="internal"
        )
        self.fatal.__cause__ = error

    def fail(self, index: int, error: BaseException, inputs: dict[str, object]) -> None:
        """Node `index` raised; those that wait for it are not run."""
        if isinstance(error, BlockedInput):
            self.block(index, error.blocked)
            return
        if isinstance(error, UpstreamFailed):
            self.skip(index, error.index)
            return
        node = self._graph.nodes[index]
        reported = failure(node, error, inputs)
        self._journal.failed(node, reported)
        if not self._keep_going:
            self.fatal = reported.error
        self._skip_all(self._graph.ledger.fail(index), index)

    def block(self, index: int, blocked: Blocked) -> None:
        """A node with a blocked input is not run, and its outputs are blocked too."""
        node, ledger = self._graph.nodes[index], self._graph.ledger
        ledger.done(index, (blocked,) * len(node.spec.outputs))
        self._journal.skipped(node, blocked.message or "an input is blocked")
        ledger.settle(index)

    def skip(self, index: int, cause: int) -> None:
        """Node `index` cannot run because of `cause`, nor can all that wait for it."""
        self._skip_all([index], cause)

    def _skip_all(self, dependents: list[int], cause: int) -> None:
        nodes, ledger = self._graph.nodes, self._graph.ledger
        pending = [(dependent, cause) for dependent in dependents]
        while pending:
            index, failed = pending.pop()
            if ledger.state[index] == FAILED:
                continue
            self._journal.skipped(nodes[index], f"'{nodes[failed].id}', which it needs, failed")
            pending.extend((dependent, index) for dependent in ledger.fail(index))
