"""Gives waiting runs to workers, and brings back what the workers say: durable first, told afterwards.

Each worker has a slot. A slot holds one run at a time, or a few while they are short, so that a worker need not wait
for the disk between them. A worker that dies is started again; what it held goes back to the queue.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final

from server.endings import body_of, cancelled, ending_of, ending_without_result
from server.errors import ServerError
from server.hub import Hub
from server.queue import OpenRun, RunQueue
from server.records import Progress, RunRequest, State, StoredEvent
from server.store import queries
from server.store import runs as rows
from server.store.database import Database
from server.store.events import append_events
from server.workers.interface import (
    Advanced,
    Begun,
    Broken,
    Done,
    Happened,
    Ready,
    Task,
    Worker,
    WorkerMessage,
)

MAX_LOSSES: Final = 3
MAX_INTERRUPTIONS: Final = 100
_AHEAD: Final = 16
_SHORT_S: Final = 0.02
_LONG_S: Final = 0.2
_RETRY_S: Final = 1.0
_BACKOFF_S: Final = (0.0, 0.2, 1.0, 5.0, 15.0, 30.0)
_log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Slot:
    """A worker and the runs that it has been given."""

    worker: Worker
    held: dict[str, OpenRun] = field(default_factory=dict)
    ready: bool = False
    device: str = ""
    trouble: str = ""
    starts: int = 0
    depth: int = 1
    begun_at: float = 0.0
    clock: asyncio.TimerHandle | None = None
    room: asyncio.Event = field(default_factory=asyncio.Event)


class Dispatcher:
    """Keeps the workers busy."""

    def __init__(
        self,
        *,
        database: Database,
        queue: RunQueue,
        hub: Hub,
        workers: Sequence[Worker],
        run_timeout_s: float | None = None,
        cancel_grace_s: float = 20.0,
    ) -> None:
        self._database = database
        self._queue = queue
        self._hub = hub
        self.slots = [Slot(worker) for worker in workers]
        self._ahead = _AHEAD if len(workers) == 1 else 1
        self._run_timeout_s = run_timeout_s
        self._cancel_grace_s = cancel_grace_s
        self._tasks: set[asyncio.Task[None]] = set()
        self._endings: set[asyncio.Task[None]] = set()
        self._open = asyncio.Event()
        self._stopping = False
        self.finished: dict[State, int] = dict.fromkeys((State.SUCCEEDED, State.FAILED, State.CANCELLED), 0)
        self.on_end: asyncio.Event = asyncio.Event()

    @property
    def paused(self) -> bool:
        return not self._open.is_set()

    def start(self) -> None:
        """Start the workers and give them runs."""
        self._open.set()
        for slot in self.slots:
            self._spawn(self._tend(slot))
            self._spawn(self._feed(slot))

    def pause(self) -> None:
        """Give out no more runs; those under way go on."""
        self._open.clear()

    def resume(self) -> None:
        """Give out runs again."""
        if not self._stopping:
            self._open.set()

    async def stop(self, grace_s: float) -> int:
        """Let what is under way end within a grace time, return the rest to the queue, end the workers.

        Returns how many runs went back to the queue.
        """
        self._stopping = True
        self._open.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                while self._endings or any(slot.held for slot in self.slots):
                    self.on_end.clear()
                    await self.on_end.wait()
        endings, tasks = list(self._endings), list(self._tasks - self._endings)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, *endings, return_exceptions=True)
        await asyncio.gather(*(slot.worker.stop() for slot in self.slots))
        left = [run for slot in self.slots for run in slot.held.values()]
        for run in left:
            await self._return(run, lost=False, reason="the server is stopping")
        return len(left)

    async def cancel(self, run: OpenRun, reason: str) -> None:
        """Cancel a run: at once if no worker has begun it, else within a step.

        A worker that does not heed a cancellation within the grace time is ended. Raises StoreError.
        """
        run.cancel_reason = reason
        if run.begun:
            self._ask_to_stop(run)
            return
        ending = cancelled(run, reason)
        try:
            ended = await self._database.write(partial(rows.cancel_run, seq=run.record.seq, ending=ending))
        except ServerError:
            run.cancel_reason = None
            if not run.taken:
                self._queue.offer(run)
            raise
        if ended:
            for slot in self.slots:
                if slot.held.pop(run.record.id, None) is not None:
                    slot.worker.cancel(run.record.id, run.record.attempt, reason)
                    slot.room.set()
            run.next_event += 1
            self._settle(run, ending)

    def _ask_to_stop(self, run: OpenRun) -> None:
        for slot in self.slots:
            if run.record.id in slot.held:
                slot.worker.cancel(
                    run.record.id, run.record.attempt, run.cancel_reason or "cancelled by the caller"
                )
                self._spawn(self._insist(slot, run, run.record.attempt))

    async def plan(
        self, document: bytes, inputs: Mapping[str, Any], targets: tuple[str, ...] | None
    ) -> Mapping[str, Any]:
        """What a run would do, by a worker that is ready; raises ServerError if none answers."""
        for slot in self.slots:
            if slot.ready:
                plan = await slot.worker.plan(document, inputs, targets)
                if plan is not None and "error" in plan:
                    error = plan["error"]
                    raise ServerError(error["message"], code=error["code"], status=422)
                if plan is not None:
                    return plan
        raise ServerError(
            "No worker is ready to plan this; try again in a moment.",
            code="no-worker",
            status=503,
            retry_after=2,
        )

    def free(self, *, models: bool, results: bool) -> None:
        """Ask all workers to let go of models or cached results."""
        for slot in self.slots:
            slot.worker.free(models=models, results=results)

    # ------------------------------------------------------------------ giving out

    async def _feed(self, slot: Slot) -> None:
        while True:
            await self._open.wait()
            if not slot.ready or len(slot.held) >= slot.depth:
                slot.room.clear()
                await slot.room.wait()
                continue
            taken: list[OpenRun] = []
            while len(slot.held) + len(taken) < slot.depth and (run := self._queue.take()) is not None:
                taken.append(run)
            if not taken:
                self._queue.changed.clear()
                await self._queue.changed.wait()
                continue
            for run in taken:
                slot.held[run.record.id] = run
            await self._claim(slot, taken)

    async def _claim(self, slot: Slot, taken: Sequence[OpenRun]) -> None:
        """Make the attempts durable, then hand them over."""
        now = time.time()
        claims = [
            self._database.write(
                partial(rows.claim_run, seq=run.record.seq, attempt=run.record.attempt, now=now)
            )
            for run in taken
        ]
        results = await asyncio.gather(*claims, return_exceptions=True)
        for run, claimed in zip(taken, results, strict=True):
            if claimed is not True:
                slot.held.pop(run.record.id, None)
                _log.warning("The run %s could not be claimed: %s", run.record.id, claimed)
                if not run.ended.is_set():
                    run.record = replace(run.record, attempt=run.record.attempt - 1)
                    self._queue.offer(run)
                continue
            run.record = replace(run.record, started=run.record.started or now)
            request = run.request or await self._request(run)
            if request is None:
                slot.held.pop(run.record.id, None)
                self._spawn(
                    self._give_up(
                        run, "run-unreadable", "What the run was asked with cannot be read any more."
                    )
                )
                continue
            self._hand_over(slot, run, request)
        if any(claimed is not True for claimed in results):
            await asyncio.sleep(_RETRY_S)

    async def _request(self, run: OpenRun) -> RunRequest | None:
        try:
            return await self._database.read(partial(queries.get_request, seq=run.record.seq))
        except ServerError:
            return None

    def _hand_over(self, slot: Slot, run: OpenRun, request: RunRequest) -> None:
        if run.record.id not in slot.held:
            return
        slot.worker.submit(
            Task(
                run=run.record.id,
                attempt=run.record.attempt,
                document=request.document,
                inputs=request.inputs,
                targets=request.targets,
                previews=request.previews,
                keep_going=request.keep_going,
                metadata=request.metadata,
            )
        )
        if self._run_timeout_s is not None:
            self._spawn(self._time_out(slot, run, run.record.attempt, self._run_timeout_s))

    # ------------------------------------------------------------------ the workers

    async def _tend(self, slot: Slot) -> None:
        """Keep a worker alive, and act on what it says."""
        failures = 0
        while True:
            slot.starts += 1
            try:
                await slot.worker.start()
                async for message in slot.worker.events():
                    self._hear(slot, message)
            except OSError as error:
                slot.trouble = f"The worker cannot be started: {error}."
            came_up, slot.ready = slot.ready, False
            _log.warning("The worker %s is gone; it held %d runs.", slot.worker.name, len(slot.held))
            await self._recover(slot)
            failures = 0 if came_up else failures + 1
            await asyncio.sleep(_BACKOFF_S[min(failures, len(_BACKOFF_S) - 1)])

    def _hear(self, slot: Slot, message: WorkerMessage) -> None:
        match message:
            case Happened() | Advanced() | Done() | Begun():
                run = slot.held.get(message.run)
                if run is None or run.record.attempt != message.attempt:
                    return
                self._hear_of(slot, run, message)
            case Ready():
                slot.ready, slot.device, slot.trouble = True, message.device, ""
                slot.room.set()
            case Broken():
                slot.trouble = message.message
                _log.error("The worker %s cannot start: %s", slot.worker.name, message.message)

    def _hear_of(self, slot: Slot, run: OpenRun, message: Happened | Advanced | Done | Begun) -> None:
        match message:
            case Begun():
                self._queue.begin(run)
                slot.begun_at = time.monotonic()
                self._watch(slot)
                if run.cancel_reason is not None:
                    self._ask_to_stop(run)
            case Happened():
                self._record_events(run, message.events)
            case Advanced():
                held = Progress(
                    message.run,
                    message.node,
                    message.done,
                    message.total,
                    message.media_type,
                    message.preview,
                )
                run.progress[message.node] = held
                self._hub.publish(held, run.record)
            case Done():
                short = self._ahead > 1 and time.monotonic() - slot.begun_at < _SHORT_S
                slot.depth = self._ahead if short else 1
                slot.held.pop(run.record.id, None)
                slot.room.set()
                self._endings.add(self._spawn(self._end(run, ending_of(run, message))))

    def _watch(self, slot: Slot) -> None:
        """See to it that nothing waits behind a run that takes long."""
        if len(slot.held) > 1 and slot.clock is None:
            slot.clock = asyncio.get_running_loop().call_later(_LONG_S, self._withdraw, slot)

    def _withdraw(self, slot: Slot) -> None:
        slot.clock = None
        waited = time.monotonic() - slot.begun_at
        if waited < _LONG_S:
            self._watch(slot)
            return
        slot.depth = 1
        for run in [run for run in slot.held.values() if not run.begun and run.cancel_reason is None]:
            del slot.held[run.record.id]
            slot.worker.cancel(run.record.id, run.record.attempt, "another worker may take it")
            self._spawn(self._return(run, lost=False, reason="the run before it takes long"))

    async def _recover(self, slot: Slot) -> None:
        """Return what a dead worker held to the queue, or end what has been lost too often.

        The first of them is what it was at, told or not; the others were waiting.
        """
        for place, run in enumerate(list(slot.held.values())):
            slot.held.pop(run.record.id, None)
            lost = place == 0 or run.begun
            if run.cancel_reason is not None:
                ending = cancelled(run, run.cancel_reason)
                await self._end(run, ending)
            elif lost and run.record.losses + 1 >= MAX_LOSSES:
                await self._give_up(
                    run,
                    "worker-died",
                    f"The worker died {MAX_LOSSES} times while it ran this; it may need more memory than there is.",
                )
            else:
                await self._return(run, lost=lost, reason="the worker died")
        slot.depth = 1
        slot.room.set()

    async def _insist(self, slot: Slot, run: OpenRun, attempt: int) -> None:
        """End a worker that does not heed a cancellation."""
        await asyncio.sleep(self._cancel_grace_s)
        if slot.held.get(run.record.id) is run and run.record.attempt == attempt and run.begun:
            _log.warning("The run %s did not stop when asked; its worker is ended.", run.record.id)
            await slot.worker.stop()

    async def _time_out(self, slot: Slot, run: OpenRun, attempt: int, limit_s: float) -> None:
        await asyncio.sleep(limit_s)
        if (
            slot.held.get(run.record.id) is run
            and run.record.attempt == attempt
            and run.cancel_reason is None
        ):
            run.cancel_reason = f"it took longer than {limit_s:g} s"
            self._ask_to_stop(run)

    # ------------------------------------------------------------------ what is kept

    def _record_events(self, run: OpenRun, events: Sequence[Mapping[str, Any]]) -> None:
        """Store events, and publish them once they are durable."""
        first = run.next_event
        bodies = [body_of(event) for event in events]
        run.next_event += len(bodies)
        record = run.record
        future = self._database.write(partial(append_events, seq=record.seq, first=first, events=bodies))

        def stored(done: asyncio.Future[None]) -> None:
            if not done.cancelled() and (error := done.exception()) is not None:
                _log.error("Events of the run %s could not be stored: %s", record.id, error)
            for place, body in enumerate(bodies):
                if body["event"] in ("node-finished", "node-failed"):
                    run.progress.pop(str(body.get("node")), None)
                self._hub.publish(StoredEvent(record.id, first + place, body), record)

        future.add_done_callback(stored)

    async def _give_up(self, run: OpenRun, code: str, sentence: str) -> None:
        error = {"code": code, "message": sentence}
        await self._end(run, ending_without_result(run, State.FAILED, error))

    async def _end(self, run: OpenRun, ending: rows.Ending) -> None:
        """Make an end durable, however long that takes, and tell of it."""
        run.next_event = ending.first_event + len(ending.events)
        ended = await self._insisted(partial(rows.finish_run, seq=run.record.seq, ending=ending), run)
        if not ended:
            _log.warning("The end of attempt %d of %s came too late.", ending.attempt, run.record.id)
            return
        self._settle(run, ending)

    def _settle(self, run: OpenRun, ending: rows.Ending) -> None:
        """Tell of an end that is durable."""
        self._queue.remove(run)
        run.record = replace(run.record, state=ending.state, finished=ending.finished, error=ending.error)
        self.finished[ending.state] += 1
        for place, body in enumerate(ending.events):
            self._hub.publish(StoredEvent(run.record.id, ending.first_event + place, body), run.record)
        run.ended.set()
        self.on_end.set()

    async def _return(self, run: OpenRun, *, lost: bool, reason: str) -> None:
        record = run.record
        body = {"event": "run-requeued", "time": time.time(), "attempt": record.attempt, "reason": reason}
        first = run.next_event
        run.next_event += 1
        change = partial(
            rows.requeue_run,
            seq=record.seq,
            attempt=record.attempt,
            lost=lost,
            first_event=first,
            events=[body],
        )
        if await self._insisted(change, run):
            run.record = replace(run.record, losses=record.losses + int(lost))
            run.progress.clear()
            self._queue.offer(run)
            self._hub.publish(StoredEvent(record.id, first, body), run.record)

    async def _insisted(self, change: partial[bool], run: OpenRun) -> bool:
        while True:
            try:
                return await self._database.write(change)
            except ServerError as error:
                _log.error("The run %s cannot be stored: %s Trying again.", run.record.id, error)
                if self._stopping:
                    return False
                await asyncio.sleep(_RETRY_S)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._forget)
        return task

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._endings.discard(task)
        self.on_end.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("The dispatcher failed.", exc_info=error)
