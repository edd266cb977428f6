"""The engine: a registry, a cache and shared services, on which workflows are run."""

from __future__ import annotations

import asyncio
import logging
import threading
import uuid
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, Final, Self
from weakref import WeakSet

from graphcore.builder import Graph
from graphcore.cache.entry import Cache
from graphcore.cache.memory import MemoryCache
from graphcore.cache.tiers import TieredCache, open_store
from graphcore.checked import CheckedGraph
from graphcore.context import CancelToken, Services
from graphcore.errors import GraphcoreError, Problem, ResourceError
from graphcore.events import Event, Listener, RunFinished
from graphcore.executor import Run
from graphcore.files import Files
from graphcore.flights import Flights
from graphcore.formats.reading import read_workflow
from graphcore.lane import Lane
from graphcore.limits import Limits
from graphcore.plan import Plan, plan_run
from graphcore.registry import Registry
from graphcore.results import RunResult
from graphcore.run_options import RunHouse, RunOptions
from graphcore.settings import Settings
from graphcore.validation import check_workflow, validate
from graphcore.workflow import Workflow

_LOG: Final = logging.getLogger("graphcore")
_CLOSING_S: Final = 10.0

Source = Workflow | Graph | Mapping[str, object] | bytes | str | Path


class RunHandle:
    """A run under way: its events, its cancellation, its result. Safe to use from any thread."""

    def __init__(self, run_id: str, token: CancelToken, listener: Listener | None) -> None:
        self.run_id = run_id
        self.token = token
        self._listener = listener
        self._events: list[Event] = []
        self._changed = threading.Condition()
        self._waiting = 0
        self._future: Future[RunResult] | None = None

    def cancel(self, reason: str = "cancelled by the caller") -> None:
        """Ask the run to stop; it does within one step of a running sampler."""
        self.token.cancel(reason)

    def result(self, timeout: float | None = None) -> RunResult:
        """Wait for the end; raises TimeoutError if it does not come within `timeout` seconds."""
        assert self._future is not None
        return self._future.result(timeout)

    async def wait(self) -> RunResult:
        """Wait for the end, in any event loop."""
        assert self._future is not None
        return await asyncio.shield(asyncio.wrap_future(self._future))

    def wait_briefly(self, seconds: float = _CLOSING_S) -> None:
        """Wait for the end, but not for ever; says nothing about how it came."""
        if self._future is not None:
            wait([self._future], timeout=seconds)

    @property
    def done(self) -> bool:
        """True once the result is there."""
        return self._future is not None and self._future.done()

    def events(self, start: int = 0) -> Iterator[Event]:
        """The run's events from number `start`, past ones first, ending with the run."""
        place = start
        while True:
            if place >= len(self._events):
                if self.done and place >= len(self._events):
                    return
                with self._changed:
                    self._waiting += 1
                    if place >= len(self._events) and not self.done:
                        self._changed.wait(0.5)
                    self._waiting -= 1
                continue
            event = self._events[place]
            yield event
            if isinstance(event, RunFinished):
                return
            place += 1

    def _hear(self, event: Event) -> None:
        self._events.append(event)
        if self._waiting:
            with self._changed:
                self._changed.notify_all()
        if self._listener is not None:
            self._tell(self._listener, event)

    def _tell(self, listener: Listener, event: Event) -> None:
        try:
            listener(event)
        except Exception:  # noqa: BLE001 (a listener is somebody else's code)
            self._listener = None
            _LOG.exception("A listener of run %s failed and is told no more.", self.run_id)


class Engine:
    """Runs workflows.

    An engine owns a lane (the thread on which its runs take place), a cache and the services that nodes share, such as
    the model store. Use it as a context manager, or call `close`.
    """

    def __init__(
        self,
        registry: Registry | None = None,
        *,
        settings: Settings | None = None,
        cache: Cache | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.registry = registry if registry is not None else Registry.installed()
        self.settings = settings or Settings()
        self.limits = limits or Limits()
        self.files = Files.from_settings(self.settings, self.registry.folders)
        self.cache: Cache = cache if cache is not None else self._default_cache()
        self.services = Services(files=self.files, settings=self.settings)
        self._lane = Lane("graphcore-lane")
        self._pool = ThreadPoolExecutor(self.settings.threads, thread_name_prefix="graphcore-pool")
        self._flights = Flights()
        self._handles: WeakSet[RunHandle] = WeakSet()
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Cancel what is running, stop the lane and close the services; nothing can be run afterwards."""
        self._closed = True
        for handle in list(self._handles):
            handle.cancel("the engine was closed")
        for handle in list(self._handles):
            handle.wait_briefly()
        self._lane.close()
        self._pool.shutdown(wait=False, cancel_futures=True)
        self.services.close()
        self.cache.close()

    def _default_cache(self) -> Cache:
        memory = MemoryCache(self.settings.cache_bytes)
        if self.settings.data_dir is None:
            return memory
        return TieredCache(memory, open_store(self.registry, self.settings))

    def plan(
        self,
        source: Source,
        *,
        inputs: Mapping[str, object] | None = None,
        targets: Collection[str] | None = None,
    ) -> Plan:
        """What a run would do: hits, misses and why, seconds and bytes. Nothing is run, no weights are loaded."""
        return plan_run(self.check(source, inputs=inputs, targets=targets), self.files, self.cache)

    def read(self, source: Source) -> Workflow:
        """Read a workflow in any format; raises DocumentError."""
        return read_workflow(source.workflow() if isinstance(source, Graph) else source, self.registry)

    def validate(self, source: Source, *, targets: Collection[str] | None = None) -> list[Problem]:
        """Every problem of a workflow; raises DocumentError if it is none."""
        workflow = self.read(source)
        return validate(workflow, self.registry, files=self.files, limits=self.limits, targets=targets)

    def check(
        self,
        source: Source,
        *,
        inputs: Mapping[str, object] | None = None,
        targets: Collection[str] | None = None,
    ) -> CheckedGraph:
        """A workflow ready to run, with its inputs set; raises ValidationError with every problem."""
        workflow = self.read(source).with_inputs(inputs or {})
        return check_workflow(workflow, self.registry, files=self.files, limits=self.limits, targets=targets)

    def start(
        self,
        source: Source | CheckedGraph,
        *,
        inputs: Mapping[str, object] | None = None,
        targets: Collection[str] | None = None,
        options: RunOptions | None = None,
        listener: Listener | None = None,
        token: CancelToken | None = None,
        run_id: str | None = None,
    ) -> RunHandle:
        """Start a run and return at once. The workflow is validated first; raises as `check` does.

        `listener` is told of each event, on the engine's thread. Raises ResourceError if the engine is closed.
        """
        if self._closed:
            raise ResourceError("The engine is closed; make a new one.", code="engine-closed")
        graph = (
            source if isinstance(source, CheckedGraph) else self.check(source, inputs=inputs, targets=targets)
        )
        handle = RunHandle(run_id or uuid.uuid4().hex, token or CancelToken(), listener)
        house = RunHouse(
            registry=self.registry,
            services=self.services,
            cache=self.cache,
            flights=self._flights,
            pool=self._pool,
            limits=self.limits,
        )
        run = Run(
            graph,
            house,
            run_id=handle.run_id,
            token=handle.token,
            listener=handle._hear,
            options=options or RunOptions(),
        )
        handle._future = self._lane.submit(run.execute())
        self._handles.add(handle)
        return handle

    def run(
        self,
        source: Source,
        *,
        targets: Collection[str] | None = None,
        options: RunOptions | None = None,
        listener: Listener | None = None,
        **inputs: Any,
    ) -> RunResult:
        """Run a workflow with its declared inputs as keywords, and wait for the result.

        Raises ValidationError, ExecutionError (whose `result` attribute holds what other branches reached) or
        Cancelled. Ctrl-C cancels the run. Raises ResourceError if the engine's own thread asks, which cannot wait.
        """
        if self._lane.is_current():
            raise ResourceError(
                "A node or a listener waits for a run of the engine that it runs on, which would never end; "
                "use `start`, or another engine.",
                code="engine-busy",
            )
        handle = self.start(source, inputs=inputs, targets=targets, options=options, listener=listener)
        try:
            result = handle.result()
        except KeyboardInterrupt:
            handle.cancel("interrupted from the keyboard")
            result = handle.result()
        return _settled(result)

    async def run_async(
        self,
        source: Source,
        *,
        targets: Collection[str] | None = None,
        options: RunOptions | None = None,
        listener: Listener | None = None,
        **inputs: Any,
    ) -> RunResult:
        """As `run`, awaited; cancelling the awaiting task cancels the run."""
        handle = self.start(source, inputs=inputs, targets=targets, options=options, listener=listener)
        try:
            return _settled(await handle.wait())
        except asyncio.CancelledError:
            handle.cancel("the waiting task was cancelled")
            raise


def _settled(result: RunResult) -> RunResult:
    error: GraphcoreError | None = result.error
    if error is not None:
        error.result = result  # type: ignore[attr-defined]
        raise error
    return result


def run(source: Source, **inputs: Any) -> RunResult:
    """Run a workflow once with the installed nodes; `Engine` keeps models and results between runs."""
    with Engine() as engine:
        return engine.run(source, **inputs)
