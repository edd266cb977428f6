"""Runs a checked graph: each node once, when somebody needs it, in an order that frees memory early.

A run lives on one asyncio loop. Synchronous nodes run inline on it, `thread=True` nodes in a pool, async nodes overlap.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Mapping
from typing import Final

from graphcore.arguments import Call, gather_inputs
from graphcore.budgets import excesses
from graphcore.cache.codec import Codecs
from graphcore.cache.entry import CacheEntry
from graphcore.cache.size import size_of
from graphcore.calling import Outcome, Raised, call_apart, call_node, call_node_async
from graphcore.checked import CheckedGraph, CheckedNode
from graphcore.conclusion import conclude
from graphcore.context import CancelToken, Context
from graphcore.demand import Demand
from graphcore.equal_work import EqualWork
from graphcore.errors import Cancelled, GraphcoreError, InputError
from graphcore.events import Listener, RunState
from graphcore.failures import Failures
from graphcore.journal import Journal
from graphcore.keys import Key
from graphcore.ledger import RUNNING
from graphcore.lists import Expand
from graphcore.mutation import Witness
from graphcore.node_contexts import NodeContexts
from graphcore.on_demand import OnDemand
from graphcore.overrides import given_outputs
from graphcore.remembering import node_runs
from graphcore.results import RunResult
from graphcore.run_graph import RunGraph
from graphcore.run_options import RunHouse, RunOptions
from graphcore.tasks import Tasks

_YIELD_S: Final = 0.01
_YIELD_OVERLAPPED_S: Final = 0.001
_SMALL: Final = (int, float, bool, type(None))
_NO_FACTS: Final[Mapping[str, object]] = {}


class Run:
    """One execution of a checked graph."""

    def __init__(
        self,
        checked: CheckedGraph,
        house: RunHouse,
        *,
        run_id: str,
        token: CancelToken,
        listener: Listener,
        options: RunOptions,
    ) -> None:
        self.run_id = run_id
        self._house = house
        self._token = token
        self._options = options
        self._graph = graph = RunGraph(checked, house, run_id.encode())
        self._ledger = graph.ledger
        self._journal = journal = Journal(listener)
        self._failures = Failures(graph, journal, keep_going=options.keep_going)
        self._tasks = Tasks(token, self._failures.crash)
        self._demand = Demand(graph, house, journal, self._failures, self._tasks)
        self._on_demand = OnDemand(graph, self._demand, journal)
        self._equal = EqualWork(graph, house, journal)
        self._contexts = NodeContexts(
            run_id, graph, house, options, token=token, journal=journal, tasks=self._tasks
        )
        self._codecs = Codecs(house.registry.codec_sources) if options.detect_mutation else None

    async def execute(self) -> RunResult:
        """Run to the end; never raises for what nodes do."""
        self._tasks.begin()
        self._journal.run_started(self.run_id, len(self._graph.nodes))
        try:
            self._graph.give(given_outputs(self._graph, self._options.overrides or {}))
            self._demand.begin(self._graph.checked.targets)
            await self._drive()
        except GraphcoreError as error:
            self._failures.fatal = error
        except Exception as error:
            self._failures.crash(error)
        finally:
            await self._tasks.stop()
            self._equal.end_all()
        return self._end()

    async def _drive(self) -> None:
        """Start the nodes that are ready, until nothing is left to start or to wait for."""
        ledger, tasks, yielded = self._ledger, self._tasks, time.perf_counter()
        while True:
            while (index := ledger.pop()) is not None:
                self._token.check()
                self._start(index)
                if self._failures.fatal is not None:
                    return
                now = time.perf_counter()
                if now - yielded > (_YIELD_OVERLAPPED_S if tasks.running else _YIELD_S):
                    await asyncio.sleep(0)
                    yielded = time.perf_counter()
            self._token.check()
            if not tasks.running:
                return
            await tasks.wait()
            if self._failures.fatal is not None:
                return

    def _start(self, index: int) -> None:
        graph = self._graph
        node = graph.nodes[index]
        spec = node.spec
        self._ledger.state[index] = RUNNING
        try:
            call = gather_inputs(node, self._ledger.outputs, graph.checked.dialect, self._on_demand.defer)
            if spec.budgeted_inputs and node.links:
                self._check_budgets(node, call)
        except Exception as error:
            self._failures.fail(index, error, {})
            return
        if call.blocked is not None:
            self._failures.block(index, call.blocked)
            return
        early = graph.keys.keys[index]
        key = early if early is not None else graph.keys.settle(index, call.inputs)
        entry = self._equal.found(index, key, look=early is None)
        if entry is not None:
            self._demand.take(index, entry)
            self._finish(index, 0.0, cached=True)
        elif spec.uncacheable is None and not self._may_compute(index, key):
            return
        elif spec.is_async or spec.thread:
            self._equal.board(index, key)
            self._tasks.spawn(self._run_apart(index, call, key))
        else:
            self._run_inline(index, call, key)

    def _check_budgets(self, node: CheckedNode, call: Call) -> None:
        """Amounts that came along links are known only now."""
        for excess in excesses(node.spec, call.inputs, self._house.limits):
            raise InputError(excess.sentence, code="over-budget", location=node.id)

    def _may_compute(self, index: int, key: Key) -> bool:
        """False if somebody else computes this key: the node is started again when they are done."""
        try:
            wait = self._equal.under_way(index, key)
        except InputError as error:
            self._failures.fail(index, error, {})
            return False
        if wait is not None:
            self._tasks.spawn(self._again(index, wait))
        return wait is None

    async def _again(self, index: int, wait: Awaitable[None]) -> None:
        await wait
        self._ledger.push(index)

    def _run_inline(self, index: int, call: Call, key: Key) -> None:
        node = self._graph.nodes[index]
        context = self._contexts.of(node)
        self._journal.started(node)
        witness = self._witness(node, call)
        begun = time.perf_counter()
        try:
            outcome = call_node(node.spec, call, context, self._house.limits, self._token)
            if witness is not None:
                witness.check()
        except BaseException as error:
            self._raised(index, error, call.inputs, key)
            return
        if isinstance(outcome, Expand):
            self._equal.board(index, key)
            self._tasks.spawn(self._expand(index, outcome, context, begun, key))
        else:
            self._complete(index, outcome, context, begun, key)

    async def _run_apart(self, index: int, call: Call, key: Key) -> None:
        """Run an async node, or a synchronous one in the pool, while others run."""
        node = self._graph.nodes[index]
        context = self._contexts.of(node)
        self._journal.started(node)
        witness = self._witness(node, call)
        begun = time.perf_counter()
        try:
            outcome = await self._outcome(node, call, context)
            if witness is not None:
                witness.check()
        except BaseException as error:
            self._raised(index, error, call.inputs, key)
            return
        if isinstance(outcome, Expand):
            await self._expand(index, outcome, context, begun, key)
        else:
            self._complete(index, outcome, context, begun, key)

    async def _outcome(self, node: CheckedNode, call: Call, context: Context | None) -> Outcome:
        spec, limits = node.spec, self._house.limits
        if spec.is_async:
            return await call_node_async(spec, call, context, limits, self._token)
        outcome = await self._tasks.loop.run_in_executor(
            self._house.pool, call_apart, spec, call, context, limits, self._token
        )
        if isinstance(outcome, Raised):
            raise outcome.error
        return outcome

    def _witness(self, node: CheckedNode, call: Call) -> Witness | None:
        return None if self._codecs is None else Witness(node, call.inputs, self._codecs)

    async def _expand(
        self, index: int, expand: Expand, context: Context | None, begun: float, key: Key
    ) -> None:
        try:
            outputs = await self._on_demand.expand(index, expand, key)
        except BaseException as error:
            self._raised(index, error, {}, key)
            return
        self._complete(index, outputs, context, begun, key)

    def _raised(self, index: int, error: BaseException, inputs: dict[str, object], key: Key) -> None:
        """A node has failed; raises what ends the run, not the node."""
        self._equal.end(index, key)
        if isinstance(error, Cancelled) or (self._tasks.over and isinstance(error, asyncio.CancelledError)):
            raise error
        self._failures.fail(index, error, inputs)

    def _complete(
        self, index: int, outputs: tuple[object, ...], context: Context | None, begun: float, key: Key
    ) -> None:
        seconds = time.perf_counter() - begun
        node = self._graph.nodes[index]
        size = 160
        for value in outputs:
            size += 32 if value.__class__ in _SMALL else size_of(value)
        if context is None:
            entry = CacheEntry(outputs, (), _NO_FACTS, seconds, size)
        else:
            entry = CacheEntry(outputs, tuple(context.shown), context.facts, seconds, size)
        self._ledger.done(index, outputs)
        if node.spec.uncacheable is None:
            self._equal.keep(index, key, entry)
        self._journal.report(node, key, entry, begun)
        self._finish(index, seconds, cached=False)

    def _finish(self, index: int, seconds: float, *, cached: bool) -> None:
        self._journal.finished(self._graph.nodes[index], seconds, cached=cached)
        self._ledger.settle(index)

    def _end(self) -> RunResult:
        graph, journal, error = self._graph, self._journal, self._failures.fatal
        self._house.cache.remember(node_runs(graph.nodes, graph.keys, graph.ids, journal.reports))
        if error is None and journal.errors:
            error = next(iter(journal.errors.values()))
        state = RunState.SUCCEEDED
        if error is not None:
            state = RunState.CANCELLED if isinstance(error, Cancelled) else RunState.FAILED
        seconds = journal.run_finished(state, error)
        return conclude(self.run_id, graph, journal, state=state, error=error, seconds=seconds)
