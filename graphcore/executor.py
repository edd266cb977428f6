"""Runs a checked graph: each node once, when somebody needs it, in an order that frees memory early.

A run lives on one asyncio loop. Synchronous nodes run inline on it, `thread=True` nodes in a pool, async nodes overlap.
Nodes are demanded from the targets upwards, so that what a cached result hides is never looked at.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Any, Final

from graphcore.arguments import Call, gather_inputs
from graphcore.cache.claims import FREE, Claim
from graphcore.cache.entry import Cache, CacheEntry
from graphcore.cache.size import size_of
from graphcore.calling import Returned, call_node, call_node_async, failure
from graphcore.checked import CheckedGraph, CheckedLink, CheckedNode
from graphcore.context import CancelToken, Context, Preview, Services
from graphcore.errors import Cancelled, ExecutionError, GraphcoreError, InputError
from graphcore.events import (
    Event,
    Listener,
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
from graphcore.expansion import Expansion, grow
from graphcore.flights import Flights
from graphcore.keys import GraphKeys, Key
from graphcore.limits import Limits
from graphcore.lists import Blocked, Expand, Lazy
from graphcore.provenance.record import RecordSource
from graphcore.provenance.texts import picture_texts
from graphcore.registry import Registry
from graphcore.remembering import node_runs
from graphcore.results import NodeReport, RunResult

_IDLE: Final = 0
_WAITING: Final = 1
_RUNNING: Final = 2
_DONE: Final = 3
_FAILED: Final = 4
_RANK_SHIFT: Final = 40
_YIELD_S: Final = 0.01
_CLAIM_POLL_S: Final = 0.05
_SMALL: Final = (int, float, bool, type(None))


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """How a run is run.

    `keep_going` lets other branches finish after a failure. `overrides` gives outputs of nodes by hand: node id to
    output name to value. `previews` asks samplers for pictures of what they make.
    """

    keep_going: bool = True
    overrides: Mapping[str, Mapping[str, object]] | None = None
    previews: bool = False
    metadata: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunHouse:
    """What a run uses and does not own."""

    registry: Registry
    services: Services
    cache: Cache
    flights: Flights
    pool: ThreadPoolExecutor
    limits: Limits


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
        self.nodes: list[CheckedNode] = graph.nodes
        self.ids: dict[str, int] = graph.index
        count = len(self.nodes)
        self.keys = GraphKeys(self.nodes, house.services.files, run_id.encode())
        self.state = bytearray(count)
        self.outputs: list[tuple[object, ...] | None] = [None] * count
        self.readers = [0] * count
        self.missing = [0] * count
        self.dependents: list[list[int] | None] = [None] * count
        self.rank = list(range(count))
        self.depth: dict[int, int] = {}
        self.shown: dict[str, tuple[Mapping[str, object], ...]] = {}
        self.errors: dict[str, GraphcoreError] = {}
        self.reports: list[NodeReport] = []
        self._twins: dict[Key, int] = {}
        self._ready: list[int] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._waits: dict[int, list[asyncio.Future[None]]] = {}
        self._claims: dict[int, Claim] = {}
        self._look: set[int] = set()
        self._expanded = 0
        self._number = 0
        self._landed = house.flights.landed
        self._begun = time.perf_counter()
        self._yielded = self._begun
        self._wake: asyncio.Event | None = None
        self._failure: GraphcoreError | None = None

    async def execute(self) -> RunResult:
        """Run to the end; never raises for what nodes do."""
        loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()
        self.token.on_cancel(lambda: loop.call_soon_threadsafe(self._woken))
        self.emit(RunStarted(self._next(), time.time(), self.run_id, len(self.nodes)))
        state = RunState.SUCCEEDED
        try:
            self._override()
            self.house.cache.begin_run([key for key in self.keys.keys if key is not None])
            wanted = [*self.graph.targets, *(place.node for place in self.graph.outputs.values())]
            for index in wanted:
                self.readers[index] += 1
            self._demand(wanted, announce=True)
            await self._drive()
            if self.errors:
                state, self._failure = RunState.FAILED, next(iter(self.errors.values()))
        except Cancelled as error:
            state, self._failure = RunState.CANCELLED, error
        finally:
            await self._stop_tasks()
            for claim in self._claims.values():
                claim.release()
        self.house.cache.remember(node_runs(self.nodes, self.keys, self.ids, self.reports))
        seconds = time.perf_counter() - self._begun
        error_json = self._failure.as_json() if self._failure is not None else None
        self.emit(RunFinished(self._next(), time.time(), state, seconds, error_json))
        return self._result(state, seconds)

    def emit(self, event: Event) -> None:
        """Hand an event to the listener."""
        self.listener(event)

    def _next(self) -> int:
        number = self._number
        self._number = number + 1
        return number

    def _woken(self) -> None:
        if self._wake is not None:
            self._wake.set()

    async def _stop_tasks(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    # ------------------------------------------------------------------ what is needed

    def _override(self) -> None:
        for node_id, values in (self.options.overrides or {}).items():
            index = self.ids.get(node_id)
            if index is None:
                raise InputError(f"There is no node '{node_id}' to override.", code="unknown-target", location=node_id)
            spec = self.nodes[index].spec
            unknown = [name for name in values if name not in spec.output_index]
            if unknown or len(values) != len(spec.outputs):
                names = ", ".join(spec.output_index) or "none"
                raise InputError(
                    f"An override of '{node_id}' must give each of its outputs ({names}).",
                    code="bad-override",
                    location=node_id,
                )
            self.outputs[index] = tuple(values[output.name] for output in spec.outputs)
            self.readers[index] += 1
            self.state[index] = _DONE
        if self.options.overrides:
            self._rekey_overridden()

    def _rekey_overridden(self) -> None:
        changed = {self.ids[node_id] for node_id in self.options.overrides or {}}
        for index, node in enumerate(self.nodes):
            if index in changed:
                self.keys.override(index, self.outputs[index])
            elif any(link.source in changed for link in node.links):
                changed.add(index)
                if self.keys.keys[index] is not None:
                    self.keys.refresh(index)

    def _demand(self, wanted: Iterable[int], *, announce: bool = False) -> None:
        """Make sure that these nodes' outputs will be there: from the cache, or by running what they need."""
        cache, nodes, state, keys = self.house.cache, self.nodes, self.state, self.keys.keys
        needed: list[int] = []
        used: list[str] = []
        stack = list(wanted)
        while stack:
            index = stack.pop()
            if state[index] != _IDLE:
                continue
            node, key = nodes[index], keys[index]
            entry = cache.get(key, node.spec) if key is not None and node.spec.uncacheable is None else None
            if entry is not None and self._still_there(entry):
                self._take(index, entry)
                used.append(node.id)
                continue
            state[index] = _WAITING
            needed.append(index)
            for link in node.links:
                self.readers[link.source] += 1
                if not link.deferred:
                    stack.append(link.source)
        for index in needed:
            self._await_sources(index)
        if used or announce:
            everything = self._known() if announce else used
            self.emit(NodesCached(self._next(), time.time(), tuple(everything), tuple(used)))
        for node_id in used:
            self._announce_cached(self.ids[node_id])

    def _await_sources(self, index: int) -> None:
        missing = 0
        for link in self.nodes[index].links:
            source = link.source
            if link.deferred or self.state[source] == _DONE:
                continue
            listed = self.dependents[source]
            if listed is None:
                listed = self.dependents[source] = []
            if not listed or listed[-1] != index:
                listed.append(index)
                missing += 1
        self.missing[index] = missing
        if missing == 0:
            self._push(index)

    def _push(self, index: int) -> None:
        heappush(self._ready, self.rank[index] << _RANK_SHIFT | index)

    def _known(self) -> list[str]:
        keys = self.keys.keys
        found = self.house.cache.known({key for key in keys if key is not None})
        return [node.id for node, key in zip(self.nodes, keys, strict=True) if key in found] if found else []

    def _still_there(self, entry: CacheEntry) -> bool:
        """A result that stands for saved files is one only while the files are there."""
        if not entry.shown:
            return True
        return all(self._file_there(item) for item in entry.shown)

    def _file_there(self, item: Mapping[str, object]) -> bool:
        name, folder = item.get("filename"), item.get("type")
        if not isinstance(name, str) or folder not in ("output", "temp", "input"):
            return True
        subfolder = item.get("subfolder")
        full = f"{subfolder}/{name}" if subfolder else name
        return self.house.services.files.find(str(folder), full) is not None

    def _take(self, index: int, entry: CacheEntry) -> None:
        self.state[index] = _DONE
        self.outputs[index] = entry.outputs
        node, key = self.nodes[index], self.keys.keys[index]
        assert key is not None
        if entry.shown:
            self.shown[node.id] = entry.shown
        start = time.perf_counter() - self._begun
        self.reports.append(
            NodeReport(
                node=node.id,
                type=node.spec.name,
                key=key,
                source="cache",
                start=start,
                seconds=0.0,
                size=entry.size,
                facts=entry.facts,
            )
        )

    def _announce_cached(self, index: int) -> None:
        node = self.nodes[index]
        if node.spec.output:
            shown = self.shown.get(node.id, ())
            self.emit(NodeFinished(self._next(), time.time(), node.id, 0.0, shown, True))

    # ------------------------------------------------------------------ running

    async def _drive(self) -> None:
        assert self._wake is not None
        ready, mask = self._ready, (1 << _RANK_SHIFT) - 1
        while True:
            while ready:
                self.token.check()
                index = heappop(ready) & mask
                if self.state[index] != _WAITING:
                    continue
                self._start(index)
                if self._failure is not None:
                    return
                if self._tasks or time.perf_counter() - self._yielded > _YIELD_S:
                    await asyncio.sleep(0)
                    self._yielded = time.perf_counter()
            self.token.check()
            if not self._tasks:
                return
            await self._wake.wait()
            self._wake.clear()
            if self._failure is not None:
                return

    def _start(self, index: int) -> None:
        node = self.nodes[index]
        self.state[index] = _RUNNING
        try:
            call = gather_inputs(node, self.outputs, self.graph.dialect, self._lazy, self._id_of)
        except GraphcoreError as error:
            self._fail(index, error, {})
            return
        if call.blocked is not None:
            self._block(index, call.blocked)
            return
        key = self.keys.keys[index]
        fresh = key is None
        if key is None:
            key = self.keys.settle(index, call.inputs)
        if self._reuse(index, key, look=fresh or index in self._look):
            return
        spec = node.spec
        if spec.uncacheable is None:
            flight = self.house.flights.board(key)
            if flight is not None:
                self._spawn(self._join(index, flight.wait))
                return
            claim = self.house.cache.claim(key, spec)
            if claim is None:
                self.house.flights.land(key)
                self._spawn(self._join(index, _pause))
                return
            if claim is not FREE:
                self._claims[index] = claim
        if spec.is_async or spec.thread:
            self._spawn(self._run_async(index, call, key))
        else:
            self._run_inline(index, call, key)

    def _reuse(self, index: int, key: Key, *, look: bool) -> bool:
        """Take the result of an equal node that has been computed since this one was demanded."""
        twin = self._twins.get(key)
        if twin is not None and self.state[twin] == _DONE:
            outputs = self.outputs[twin]
            if outputs is not None:
                shown = self.shown.get(self.nodes[twin].id, ())
                self._take(index, CacheEntry(outputs, shown, {}, 0.0, 0))
                self._finished(index, 0.0, cached=True)
                return True
        if not look and twin is None and self.house.flights.landed == self._landed:
            return False
        node = self.nodes[index]
        entry = self.house.cache.get(key, node.spec) if node.spec.uncacheable is None else None
        if entry is None or not self._still_there(entry):
            return False
        self._take(index, entry)
        self._finished(index, 0.0, cached=True)
        return True

    def _spawn(self, work: Awaitable[None]) -> None:
        async def guarded() -> None:
            try:
                await work
            except Cancelled as error:
                self.token.cancel(error.reason)

        task = asyncio.get_running_loop().create_task(guarded())
        self._tasks.add(task)
        task.add_done_callback(self._task_done)

    def _task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._woken()

    async def _join(self, index: int, wait: Callable[[], Awaitable[None]]) -> None:
        await wait()
        self._look.add(index)
        self.state[index] = _WAITING
        self._push(index)

    def _context(self, node: CheckedNode) -> Context:
        def progress(done: int, total: int, preview: Preview | None) -> None:
            self.emit(NodeProgress(self._next(), time.time(), node.id, done, total, preview))

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

    def _run_inline(self, index: int, call: Call, key: Key) -> None:
        node = self.nodes[index]
        context = self._context(node) if node.spec.context_name is not None else None
        self.emit(NodeStarted(self._next(), time.time(), node.id, node.spec.name))
        begun = time.perf_counter()
        try:
            returned = call_node(node.spec, call, context, self.house.limits)
        except Cancelled:
            self._leave(index, key)
            raise
        except BaseException as error:
            self._leave(index, key)
            self._fail(index, error, call.inputs)
            return
        self._returned(index, returned, context, begun, key)

    async def _run_async(self, index: int, call: Call, key: Key) -> None:
        node = self.nodes[index]
        context = self._context(node) if node.spec.context_name is not None else None
        self.emit(NodeStarted(self._next(), time.time(), node.id, node.spec.name))
        begun = time.perf_counter()
        try:
            if node.spec.is_async:
                returned = await call_node_async(node, call, context, self.house.limits)
            else:
                returned = await asyncio.get_running_loop().run_in_executor(
                    self.house.pool, call_node, node.spec, call, context, self.house.limits
                )
        except (Cancelled, asyncio.CancelledError):
            self._leave(index, key)
            raise
        except BaseException as error:
            self._leave(index, key)
            self._fail(index, error, call.inputs)
            return
        self._returned(index, returned, context, begun, key)

    def _leave(self, index: int, key: Key) -> None:
        if self.nodes[index].spec.uncacheable is None:
            self.house.flights.land(key)
            self._landed += 1
            claim = self._claims.pop(index, None)
            if claim is not None:
                claim.release()

    def _returned(self, index: int, returned: Returned, context: Context | None, begun: float, key: Key) -> None:
        if returned.expand is not None:
            self._spawn(self._expand(index, returned.expand, context, begun, key))
            return
        self._complete(index, returned.outputs, context, begun, key)

    def _complete(
        self, index: int, outputs: tuple[object, ...], context: Context | None, begun: float, key: Key
    ) -> None:
        ended = time.perf_counter()
        seconds = ended - begun
        node = self.nodes[index]
        spec = node.spec
        shown = tuple(context.shown) if context is not None and context.shown else ()
        facts: Mapping[str, object] = context.facts if context is not None and context.facts else _NO_FACTS
        size = 160
        for value in outputs:
            size += 32 if value.__class__ in _SMALL else size_of(value)
        self.outputs[index] = outputs
        self.state[index] = _DONE
        if shown:
            self.shown[node.id] = shown
        if spec.uncacheable is None:
            if not _any_blocked(outputs):
                self.house.cache.put(key, spec, CacheEntry(outputs, shown, facts, seconds, size))
            self._twins[key] = index
            self._leave(index, key)
        self.reports.append(
            NodeReport(
                node=node.id,
                type=spec.name,
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
        node = self.nodes[index]
        shown = self.shown.get(node.id, ())
        self.emit(NodeFinished(self._next(), time.time(), node.id, seconds, shown, cached))
        self._release_sources(node)
        listed = self.dependents[index]
        if listed is not None:
            self.dependents[index] = None
            for dependent in listed:
                self.missing[dependent] -= 1
                if self.missing[dependent] == 0 and self.state[dependent] == _WAITING:
                    self._push(dependent)
        if self._waits:
            self._resolve_waits(index)

    def _release_sources(self, node: CheckedNode) -> None:
        """Drop the outputs that nobody will read again; they can be demanded anew."""
        for link in node.links:
            self._release(link.source)

    def _release(self, source: int) -> None:
        self.readers[source] -= 1
        if self.readers[source] <= 0 and self.state[source] == _DONE:
            if self.nodes[source].spec.uncacheable is None:
                self.outputs[source] = None
                self.state[source] = _IDLE

    # ------------------------------------------------------------------ inputs on demand, expansions

    def _id_of(self, index: int) -> str:
        return self.nodes[index].id

    def _lazy(self, link: CheckedLink) -> Lazy[Any]:
        async def fetch() -> Any:
            await self._obtain([link.source])
            held = self.outputs[link.source]
            assert held is not None
            value = held[link.output]
            if isinstance(value, Blocked):
                raise _BlockedInput(value)
            return value

        return Lazy(fetch)

    async def _obtain(self, wanted: list[int]) -> None:
        """Wait until these nodes' outputs are there; raises the error of one that failed."""
        self._demand(wanted)
        self._woken()
        loop = asyncio.get_running_loop()
        for index in wanted:
            if self.state[index] not in (_DONE, _FAILED):
                future: asyncio.Future[None] = loop.create_future()
                self._waits.setdefault(index, []).append(future)
                await future
            if self.state[index] == _FAILED:
                raise _UpstreamFailed(self.nodes[index].id)

    def _resolve_waits(self, index: int) -> None:
        for future in self._waits.pop(index, ()):
            if not future.done():
                future.set_result(None)

    async def _expand(
        self, index: int, expand: Expand, context: Context | None, begun: float, key: Key
    ) -> None:
        node = self.nodes[index]
        try:
            expansion = self._grow(index, expand, key)
            self.emit(NodeExpanded(self._next(), time.time(), node.id, expansion.ids))
            sources = expansion.sources()
            for source in sources:
                self.readers[source] += 1
            await self._obtain([*sources, *expansion.targets])
            outputs = expansion.outputs(self.outputs)
            for source in sources:
                self._release(source)
        except (Cancelled, asyncio.CancelledError):
            self._leave(index, key)
            raise
        except BaseException as error:
            self._leave(index, key)
            self._fail(index, error, {})
            return
        self._complete(index, outputs, context, begun, key)

    def _grow(self, index: int, expand: Expand, key: Key) -> Expansion:
        limits = self.house.limits
        depth = self.depth.get(index, 0) + 1
        self._expanded += len(expand.workflow.nodes)
        if depth > limits.expansion_depth or self._expanded > limits.expanded_nodes:
            what = "depth" if depth > limits.expansion_depth else "number of nodes"
            bound = limits.expansion_depth if depth > limits.expansion_depth else limits.expanded_nodes
            raise InputError(
                f"The node expands beyond the budget: the {what} is limited to {bound}; end the loop sooner.",
                code="expansion-budget",
            )
        expansion = grow(self, index, expand, key)
        count = len(self.nodes) - len(self.state)
        for added in range(len(self.state), len(self.nodes)):
            self.depth[added] = depth
        self.state.extend(bytes(count))
        self.outputs.extend([None] * count)
        self.readers.extend([0] * count)
        self.missing.extend([0] * count)
        self.dependents.extend([None] * count)
        self.rank.extend([self.rank[index]] * count)
        self.keys.extend()
        return expansion

    # ------------------------------------------------------------------ failures

    def _block(self, index: int, blocked: Blocked) -> None:
        node = self.nodes[index]
        self.outputs[index] = (blocked,) * len(node.spec.outputs)
        self.state[index] = _DONE
        self.emit(NodeSkipped(self._next(), time.time(), node.id, blocked.message or "an input is blocked"))
        self._finished_quietly(index)

    def _finished_quietly(self, index: int) -> None:
        self._release_sources(self.nodes[index])
        listed = self.dependents[index]
        self.dependents[index] = None
        for dependent in listed or ():
            self.missing[dependent] -= 1
            if self.missing[dependent] == 0 and self.state[dependent] == _WAITING:
                self._push(dependent)
        self._resolve_waits(index)

    def _fail(self, index: int, error: BaseException, inputs: Mapping[str, object]) -> None:
        node = self.nodes[index]
        if isinstance(error, _BlockedInput):
            self._block(index, error.blocked)
            return
        if isinstance(error, _UpstreamFailed):
            self._skip(index, error.node)
        else:
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
            self.state[index] = _FAILED
            if not self.options.keep_going:
                self._failure = reported.error
                self._woken()
                return
        self._resolve_waits(index)
        self._skip_dependents(index)

    def _skip(self, index: int, cause: str) -> None:
        self.state[index] = _FAILED
        reason = f"'{cause}', which it needs, failed"
        self.emit(NodeSkipped(self._next(), time.time(), self.nodes[index].id, reason))

    def _skip_dependents(self, index: int) -> None:
        pending = [index]
        while pending:
            failed = pending.pop()
            listed = self.dependents[failed]
            self.dependents[failed] = None
            for dependent in listed or ():
                if self.state[dependent] == _WAITING:
                    self._skip(dependent, self.nodes[failed].id)
                    self._release_sources(self.nodes[dependent])
                    self._resolve_waits(dependent)
                    pending.append(dependent)

    # ------------------------------------------------------------------ the end

    def _result(self, state: RunState, seconds: float) -> RunResult:
        outputs: dict[str, object] = {}
        for name, place in self.graph.outputs.items():
            held = self.outputs[place.node]
            if held is not None:
                outputs[name] = held[place.output]
        nodes: dict[str, dict[str, object]] = {}
        for index in self.graph.targets:
            held = self.outputs[index]
            if held is not None:
                names = self.nodes[index].spec.outputs
                nodes[self.nodes[index].id] = {
                    spec.name: value for spec, value in zip(names, held, strict=True)
                }
        if isinstance(self._failure, ExecutionError):
            self.errors.setdefault(self._failure.path, self._failure)
        return RunResult(
            run_id=self.run_id,
            state=state,
            outputs=outputs,
            nodes=nodes,
            shown=self.shown,
            errors=self.errors,
            error=self._failure,
            seconds=seconds,
            reports=tuple(self.reports),
        )


class _UpstreamFailed(Exception):
    def __init__(self, node: str) -> None:
        super().__init__(node)
        self.node = node


class _BlockedInput(Exception):
    def __init__(self, blocked: Blocked) -> None:
        super().__init__(blocked.message)
        self.blocked = blocked


async def _pause() -> None:
    await asyncio.sleep(_CLAIM_POLL_S)


_NO_FACTS: Final[Mapping[str, object]] = {}


def _any_blocked(outputs: tuple[object, ...]) -> bool:
    return any(value.__class__ is Blocked for value in outputs)
