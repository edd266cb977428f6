"""Runs a checked graph: each node once, when somebody needs it, in an order that frees memory early.

A run lives on one asyncio loop. Synchronous nodes run inline on it, `thread=True` nodes in a pool, async nodes overlap.
Nodes are demanded from the targets upwards, so that what a cached result hides is never looked at.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Iterable, Mapping
from typing import Any, Final

from graphcore.arguments import Call, gather_inputs, guarded
from graphcore.budgets import excesses
from graphcore.cache.codec import Codecs
from graphcore.cache.entry import CacheEntry
from graphcore.cache.size import size_of
from graphcore.cache.standing import still_there
from graphcore.calling import Outcome, Raised, call_apart, call_node, call_node_async, failure
from graphcore.checked import CheckedGraph, CheckedLink, CheckedNode
from graphcore.conclusion import conclude
from graphcore.context import CancelToken, Context, Preview
from graphcore.errors import Cancelled, GraphcoreError, InputError
from graphcore.events import (
    Event,
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
from graphcore.exclusive_work import ExclusiveWork
from graphcore.expansion import Expansion, Growth, grow
from graphcore.keys import GraphKeys, Key
from graphcore.ledger import DONE, FAILED, IDLE, RUNNING, WAITING, Ledger
from graphcore.lists import Blocked, Each, Expand, Lazy, RawLink
from graphcore.mutation import Witness
from graphcore.overrides import apply_overrides
from graphcore.provenance.record import RecordSource
from graphcore.provenance.texts import picture_texts
from graphcore.remembering import node_runs
from graphcore.results import NodeReport, RunResult
from graphcore.run_options import RunHouse, RunOptions
from graphcore.spec import NodeSpec
from graphcore.workflow import Link

_YIELD_S: Final = 0.01
_YIELD_OVERLAPPED_S: Final = 0.001
_CLAIM_POLL_S: Final = 0.05
_SMALL: Final = (int, float, bool, type(None))
_NO_FACTS: Final[Mapping[str, object]] = {}


class Run:
    """One execution of a checked graph."""

    def __init__(
        self,
        graph: CheckedGraph,
        house: RunHouse,
        *,
        run_id: str,
        token: CancelToken,
        listener: Listener,
        options: RunOptions,
    ) -> None:
        self.graph = graph
        self.house = house
        self.run_id = run_id
        self.token = token
        self.listener = listener
        self.options = options
        self.nodes: list[CheckedNode] = list(graph.nodes)
        self.ids: dict[str, int] = dict(graph.index)
        self.keys = GraphKeys(self.nodes, house.services.files, run_id.encode(), needed=graph.needed)
        self.ledger = Ledger(self.nodes)
        self.shown: dict[str, tuple[Mapping[str, object], ...]] = {}
        self.errors: dict[str, GraphcoreError] = {}
        self.reports: list[NodeReport] = []
        self._growth = Growth(house.limits)
        self._fleeting = bytearray()
        self._parts: dict[type, object] = {}
        self._twins: dict[Key, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._work = ExclusiveWork(house.flights, house.cache)
        self._look: set[int] = set()
        self._ended_elsewhere = house.flights.ended
        self._codecs = Codecs(house.registry.codec_sources) if options.detect_mutation else None
        self._number = 0
        self._begun = time.perf_counter()
        self._wake: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = 0
        self._over = False
        self._failure: GraphcoreError | None = None

    async def execute(self) -> RunResult:
        """Run to the end; never raises for what nodes do."""
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._wake = asyncio.Event()
        self.token.on_cancel(self._cancelled_outside)
        self.emit(RunStarted(self._next(), time.time(), self.run_id, len(self.nodes)))
        try:
            apply_overrides(self)
            self.house.cache.begin_run([key for key in self.keys.keys if key is not None])
            for index in self.graph.targets:
                self.ledger.readers[index] += 1
            self._demand(self.graph.targets, announce=True)
            await self._drive()
        except GraphcoreError as error:
            self._failure = error
        except Exception as error:
            self._crash(error)
        finally:
            await self._stop()
        return self._end()

    def emit(self, event: Event) -> None:
        """Hand an event to the listener."""
        self.listener(event)

    def _next(self) -> int:
        number = self._number
        self._number = number + 1
        return number

    def _cancelled_outside(self) -> None:
        assert self._loop is not None
        try:
            self._loop.call_soon_threadsafe(self._woken)
        except RuntimeError:
            return

    def _woken(self) -> None:
        if self._wake is not None:
            self._wake.set()

    def _crash(self, error: BaseException) -> None:
        """Something failed that is no node: the cache, a service, the engine itself."""
        self._failure = GraphcoreError(
            f"The run broke off: {type(error).__name__}: {error}; please report this.", code="internal"
        )
        self._failure.__cause__ = error
        self._woken()

    async def _stop(self) -> None:
        """Nothing of this run goes on, and nobody waits for it in vain."""
        self._over = True
        self.token.forget(self._cancelled_outside)
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.gather(*tasks, return_exceptions=True)
        self._work.end_all()

    # ------------------------------------------------------------------ what is needed

    def _demand(self, wanted: Iterable[int], *, announce: bool = False) -> None:
        """Make sure that these nodes' outputs will be there: from the cache, or by running what they need."""
        cache, nodes, keys, ledger = self.house.cache, self.nodes, self.keys.keys, self.ledger
        needed: list[int] = []
        used: list[int] = []
        stack = list(wanted)
        while stack:
            index = stack.pop()
            if ledger.state[index] != IDLE:
                continue
            spec, key = nodes[index].spec, keys[index]
            entry = cache.get(key, spec) if key is not None and spec.uncacheable is None else None
            if entry is not None and still_there(entry, self.house.services.files):
                self._take(index, entry)
                used.append(index)
                continue
            needed.append(index)
            stack.extend(ledger.demand(index))
        for index in needed:
            if ledger.state[index] == WAITING:
                failed = ledger.await_sources(index)
                if failed is not None:
                    self._skip(index, failed)
        if used or announce:
            taken = tuple([nodes[index].id for index in used])
            known = self._known() if announce else taken
            self.emit(NodesCached(self._next(), time.time(), known, taken))
        for index in used:
            if nodes[index].spec.output:
                shown = self.shown.get(nodes[index].id, ())
                self.emit(NodeFinished(self._next(), time.time(), nodes[index].id, 0.0, shown, True))

    def _known(self) -> tuple[str, ...]:
        keys = self.keys.keys
        found = self.house.cache.known({key for key in keys if key is not None})
        if not found:
            return ()
        return tuple([node.id for node, key in zip(self.nodes, keys, strict=True) if key in found])

    def _take(self, index: int, entry: CacheEntry) -> None:
        self.ledger.done(index, entry.outputs)
        node, key = self.nodes[index], self.keys.keys[index]
        assert key is not None
        if entry.shown:
            self.shown[node.id] = entry.shown
        self.reports.append(
            NodeReport(
                node=node.id,
                type=node.spec.name,
                key=key,
                source="cache",
                start=time.perf_counter() - self._begun,
                seconds=0.0,
                size=entry.size,
                facts=entry.facts,
            )
        )

    # ------------------------------------------------------------------ running

    async def _drive(self) -> None:
        assert self._wake is not None
        ledger, yielded = self.ledger, time.perf_counter()
        while True:
            while (index := ledger.pop()) is not None:
                self.token.check()
                self._start(index)
                if self._failure is not None:
                    return
                now = time.perf_counter()
                if now - yielded > (_YIELD_OVERLAPPED_S if self._tasks else _YIELD_S):
                    await asyncio.sleep(0)
                    yielded = time.perf_counter()
            self.token.check()
            if not self._tasks:
                return
            await self._wake.wait()
            self._wake.clear()
            if self._failure is not None:
                return

    def _start(self, index: int) -> None:
        node = self.nodes[index]
        spec = node.spec
        self.ledger.state[index] = RUNNING
        try:
            call = gather_inputs(node, self.ledger.outputs, self.graph.dialect, self._defer)
            if spec.budgeted_inputs and node.links:
                self._check_budgets(node, call)
        except Exception as error:
            self._fail(index, error, {})
            return
        if call.blocked is not None:
            self._block(index, call.blocked)
            return
        key = self.keys.keys[index]
        look = key is None or index in self._look
        if key is None:
            key = self.keys.settle(index, call.inputs)
        if self._reuse(index, key, look=look):
            return
        if spec.uncacheable is None and not self._may_compute(index, key):
            return
        if spec.is_async or spec.thread:
            if spec.uncacheable is None:
                self._work.board(key)
            self._spawn(self._run_apart(index, call, key))
        else:
            self._run_inline(index, call, key)

    def _check_budgets(self, node: CheckedNode, call: Call) -> None:
        """Amounts that came along links are known only now."""
        for excess in excesses(node.spec, call.inputs, self.house.limits):
            raise InputError(excess.sentence, code="over-budget", location=node.id)

    def _reuse(self, index: int, key: Key, *, look: bool) -> bool:
        """Take the result of an equal node that has been computed since this one was demanded."""
        twin = self._twins.get(key)
        if twin is not None and self.ledger.state[twin] == DONE:
            outputs = self.ledger.outputs[twin]
            assert outputs is not None
            self._take(index, CacheEntry(outputs, self.shown.get(self.nodes[twin].id, ()), _NO_FACTS, 0.0, 0))
        else:
            if not look and twin is None and self.house.flights.ended == self._ended_elsewhere:
                return False
            spec = self.nodes[index].spec
            entry = self.house.cache.get(key, spec) if spec.uncacheable is None else None
            if entry is None or not still_there(entry, self.house.services.files):
                return False
            self._take(index, entry)
        self._finished(index, 0.0, cached=True)
        return True

    def _may_compute(self, index: int, key: Key) -> bool:
        """False if somebody else computes this key: the node is started again when they are done."""
        if self.house.flights.under_way(key):
            if self._growth.within_itself(index, key, self.keys.keys):
                error = InputError(
                    "The node expands into itself with the same inputs, which never ends; change an input each time.",
                    code="expansion-budget",
                )
                self._fail(index, error, {})
            else:
                self._spawn(self._again(index, self.house.flights.wait(key)))
            return False
        if self._lasts(index) and not self._work.claim(index, key, self.nodes[index].spec):
            self._spawn(self._again(index, asyncio.sleep(_CLAIM_POLL_S)))
            return False
        return True

    def _lasts(self, index: int) -> bool:
        """True if a result may outlive this process: no code of a ComfyUI pack has had a part in it."""
        for place in range(len(self._fleeting), len(self.nodes)):
            node = self.nodes[place]
            sources = any(self._fleeting[link.source] for link in node.links)
            inside = self._growth.parent(place)
            foreign = node.spec.foreign is not None or (inside is not None and self._fleeting[inside] > 0)
            self._fleeting.append(foreign or sources)
        return not self._fleeting[index]

    async def _again(self, index: int, wait: Awaitable[None]) -> None:
        await wait
        self._look.add(index)
        self.ledger.push(index)

    def _spawn(self, work: Awaitable[None]) -> None:
        assert self._loop is not None
        task = self._loop.create_task(self._watched(work))
        self._tasks.add(task)
        task.add_done_callback(self._task_done)

    async def _watched(self, work: Awaitable[None]) -> None:
        try:
            await work
        except Cancelled as error:
            self.token.cancel(error.reason)
        except Exception as error:
            self._crash(error)

    def _task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._woken()

    def _context(self, node: CheckedNode) -> Context | None:
        if node.spec.context_name is None:
            return None

        def progress(done: int, total: int, preview: Preview | None) -> None:
            if self._over:
                raise Cancelled("the run has ended")
            if threading.get_ident() == self._thread:
                self._progressed(node.id, done, total, preview)
            else:
                assert self._loop is not None
                self._loop.call_soon_threadsafe(self._progressed, node.id, done, total, preview)

        def blocked(message: str) -> None:
            self.emit(NodeBlocked(self._next(), time.time(), node.id, node.spec.name, message))

        return Context(
            node_id=node.id,
            node_type=node.spec.name,
            run_id=self.run_id,
            services=self.house.services,
            token=self.token,
            listener=progress,
            previews=self.options.previews,
            document=self.graph.workflow,
            registry=self.house.registry,
            metadata=self.options.metadata or {},
            recorder=self._picture_texts,
            blocking=blocked if node.spec.foreign is not None else None,
            run_parts=self._parts,
        )

    def _picture_texts(self, node: str, picture: int) -> Mapping[str, str]:
        services, registry = self.house.services, self.house.registry
        source = RecordSource(
            workflow=self.graph.workflow,
            nodes=self.nodes,
            reports=tuple(self.reports),
            index=self.ids,
            files=services.files,
            environment=registry.environment(services.settings),
            seconds=time.perf_counter() - self._begun,
        )
        return picture_texts(source, registry, self.options.metadata or {}, node, picture)

    def _progressed(self, node_id: str, done: int, total: int, preview: Preview | None) -> None:
        if not self._over:
            self.emit(NodeProgress(self._next(), time.time(), node_id, done, total, preview))

    def _witness(self, node: CheckedNode, call: Call) -> Witness | None:
        return None if self._codecs is None else Witness(node, call.inputs, self._codecs)

    def _run_inline(self, index: int, call: Call, key: Key) -> None:
        node = self.nodes[index]
        context = self._context(node)
        self.emit(NodeStarted(self._next(), time.time(), node.id, node.spec.name))
        witness = self._witness(node, call)
        begun = time.perf_counter()
        try:
            outcome = call_node(node.spec, call, context, self.house.limits, self.token)
            if witness is not None:
                witness.check()
        except Cancelled:
            self._leave(index, key)
            raise
        except BaseException as error:
            self._leave(index, key)
            self._fail(index, error, call.inputs)
            return
        self._returned(index, outcome, context, begun, key)

    async def _run_apart(self, index: int, call: Call, key: Key) -> None:
        """Run an async node, or a synchronous one in the pool, while others run."""
        node = self.nodes[index]
        spec, house = node.spec, self.house
        context = self._context(node)
        self.emit(NodeStarted(self._next(), time.time(), node.id, spec.name))
        witness = self._witness(node, call)
        begun = time.perf_counter()
        try:
            if spec.is_async:
                outcome = await call_node_async(spec, call, context, house.limits, self.token)
            else:
                outcome = await self._in_pool(spec, call, context)
            if witness is not None:
                witness.check()
        except Cancelled:
            self._leave(index, key)
            raise
        except BaseException as error:
            self._leave(index, key)
            if self._over and isinstance(error, asyncio.CancelledError):
                raise
            self._fail(index, error, call.inputs)
            return
        self._returned(index, outcome, context, begun, key)

    async def _in_pool(self, spec: NodeSpec, call: Call, context: Context | None) -> Outcome:
        assert self._loop is not None
        outcome = await self._loop.run_in_executor(
            self.house.pool, call_apart, spec, call, context, self.house.limits, self.token
        )
        if isinstance(outcome, Raised):
            raise outcome.error
        return outcome

    def _leave(self, index: int, key: Key) -> None:
        """The work on a key has ended, however it did."""
        self._work.end(index, key)
        self._ended_elsewhere += 1

    def _returned(
        self, index: int, outcome: Outcome, context: Context | None, begun: float, key: Key
    ) -> None:
        if isinstance(outcome, Expand):
            if self.nodes[index].spec.uncacheable is None:
                self._work.board(key)
            self._spawn(self._expand(index, outcome, context, begun, key))
        else:
            self._complete(index, outcome, context, begun, key)

    def _complete(
        self, index: int, outputs: tuple[object, ...], context: Context | None, begun: float, key: Key
    ) -> None:
        seconds = time.perf_counter() - begun
        node = self.nodes[index]
        shown: tuple[Mapping[str, object], ...] = ()
        facts = _NO_FACTS
        if context is not None:
            shown, facts = tuple(context.shown), context.facts
            if shown:
                self.shown[node.id] = shown
        size = 160
        for value in outputs:
            size += 32 if value.__class__ in _SMALL else size_of(value)
        self.ledger.done(index, outputs)
        if node.spec.uncacheable is None:
            entry = CacheEntry(outputs, shown, facts, seconds, size, self._lasts(index))
            self.house.cache.put(key, node.spec, entry)
            self._twins[key] = index
            self._leave(index, key)
        self.reports.append(
            NodeReport(
                node=node.id,
                type=node.spec.name,
                key=key,
                source="run",
                start=begun - self._begun,
                seconds=seconds,
                size=size,
                facts=facts,
            )
        )
        self._finished(index, seconds, cached=False)

    def _finished(self, index: int, seconds: float, *, cached: bool) -> None:
        node_id = self.nodes[index].id
        shown = self.shown.get(node_id, ())
        self.emit(NodeFinished(self._next(), time.time(), node_id, seconds, shown, cached))
        self.ledger.settle(index)

    # ------------------------------------------------------------------ inputs on demand, expansions

    def _defer(self, node: CheckedNode, link: CheckedLink) -> Lazy[Any] | RawLink[Any]:
        """What a node is given for a lazy or raw input."""
        source, foreign = self.nodes[link.source], node.spec.foreign is not None

        async def fetch() -> Any:
            await self._obtain([link.source])
            held = self.ledger.outputs[link.source]
            assert held is not None
            value = held[link.output]
            if isinstance(value, Blocked) and not foreign:
                raise _BlockedInput(value)
            if link.guard is None or isinstance(value, Each):
                return value
            return guarded(link.guard, value)

        if link.raw:
            name = link.output if foreign else source.spec.outputs[link.output].name
            return RawLink(Link(source.id, name))
        return Lazy(fetch)

    async def _obtain(self, wanted: list[int]) -> None:
        """Wait until these nodes' outputs are there; raises if one of them has failed."""
        self._demand(wanted)
        self._woken()
        for index in wanted:
            await self.ledger.wait_for(index)
            if self.ledger.state[index] == FAILED:
                raise _UpstreamFailed(index)

    async def _expand(
        self, index: int, expand: Expand, context: Context | None, begun: float, key: Key
    ) -> None:
        node = self.nodes[index]
        read: list[int] = []
        try:
            expansion = self._grow(index, expand, key)
            self.emit(
                NodeExpanded(self._next(), time.time(), node.id, expansion.ids, dict(expand.stands_for))
            )
            read = [*expansion.sources(), *expansion.targets]
            for source in read:
                self.ledger.readers[source] += 1
            await self._obtain(read)
            outputs = expansion.outputs(self.ledger.outputs)
        except Cancelled:
            self._leave(index, key)
            raise
        except BaseException as error:
            self._leave(index, key)
            if self._over and isinstance(error, asyncio.CancelledError):
                raise
            self._fail(index, error, {})
            return
        finally:
            for source in read:
                self.ledger.release(source)
        self._complete(index, outputs, context, begun, key)

    def _grow(self, index: int, expand: Expand, key: Key) -> Expansion:
        self._growth.allow(index, expand)
        first = len(self.nodes)
        expansion = grow(self, index, expand, key)
        self._growth.note(index, range(first, len(self.nodes)))
        self.ledger.grow(index)
        self.keys.extend()
        return expansion

    # ------------------------------------------------------------------ failures

    def _block(self, index: int, blocked: Blocked) -> None:
        """A node with a blocked input is not run, and its outputs are blocked too."""
        node = self.nodes[index]
        self.ledger.done(index, (blocked,) * len(node.spec.outputs))
        self.emit(NodeSkipped(self._next(), time.time(), node.id, blocked.message or "an input is blocked"))
        self.ledger.settle(index)

    def _fail(self, index: int, error: BaseException, inputs: dict[str, object]) -> None:
        node = self.nodes[index]
        if isinstance(error, _BlockedInput):
            self._block(index, error.blocked)
            return
        if isinstance(error, _UpstreamFailed):
            self._skip(index, error.index)
            return
        reported = failure(node, error, inputs)
        self.errors[node.id] = reported.error
        self.emit(
            NodeFailed(
                self._next(),
                time.time(),
                node.id,
                node.spec.name,
                reported.error.as_json(),
                reported.traceback,
            )
        )
        if not self.options.keep_going:
            self._failure = reported.error
            self._woken()
        self._skip_all(self.ledger.fail(index), index)

    def _skip(self, index: int, cause: int) -> None:
        self._skip_all([index], cause)

    def _skip_all(self, dependents: list[int], cause: int) -> None:
        """Nodes that cannot run because of `cause`, and all that wait for them."""
        pending = [(dependent, cause) for dependent in dependents]
        while pending:
            index, failed = pending.pop()
            if self.ledger.state[index] == FAILED:
                continue
            reason = f"'{self.nodes[failed].id}', which it needs, failed"
            self.emit(NodeSkipped(self._next(), time.time(), self.nodes[index].id, reason))
            pending.extend((dependent, index) for dependent in self.ledger.fail(index))

    # ------------------------------------------------------------------ the end

    def _end(self) -> RunResult:
        self.house.cache.remember(node_runs(self.nodes, self.keys, self.ids, self.reports))
        if self._failure is None and self.errors:
            self._failure = next(iter(self.errors.values()))
        state = RunState.SUCCEEDED
        if self._failure is not None:
            state = RunState.CANCELLED if isinstance(self._failure, Cancelled) else RunState.FAILED
        seconds = time.perf_counter() - self._begun
        error_json = self._failure.as_json() if self._failure is not None else None
        self.emit(RunFinished(self._next(), time.time(), state, seconds, error_json))
        return conclude(self, state, self._failure, seconds)


class _UpstreamFailed(Exception):
    def __init__(self, index: int) -> None:
        super().__init__(index)
        self.index = index


class _BlockedInput(Exception):
    def __init__(self, blocked: Blocked) -> None:
        super().__init__(blocked.message)
        self.blocked = blocked
