"""One worker and the runs that it holds: gives it runs, hears what it says, and starts it again when it dies.

A slot holds one run at a time, or a few while they are short, so that a worker need not wait for the disk between them.
What a worker that died held goes back to the queue.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from server.background import Background
from server.endings import cancelled, ending_of
from server.ledger import RETRY_S, Ledger
from server.queue import OpenRun, RunQueue
from server.records import Progress, RunRequest
from server.sealing import unseal
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
_AHEAD: Final = 16
_SHORT_S: Final = 0.02
_LONG_S: Final = 0.2
_BACKOFF_S: Final = (0.0, 0.2, 1.0, 5.0, 15.0, 30.0)
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a run may take (None: for ever), and how long one that was cancelled may take to stop."""

    run_s: float | None = None
    cancel_s: float = 20.0


class Slot:
    """A worker and the runs it has been given. With `alone` there is no other worker that could take them."""

    def __init__(
        self,
        worker: Worker,
        *,
        queue: RunQueue,
        ledger: Ledger,
        tasks: Background,
        endings: Background,
        patience: Patience,
        alone: bool,
    ) -> None:
        self.worker = worker
        self.held: dict[str, OpenRun] = {}
        self.ready = False
        self.device = ""
        self.trouble = ""
        self.starts = 0
        self._queue = queue
        self._ledger = ledger
        self._tasks = tasks
        self._endings = endings
        self._patience = patience
        self._ahead = _AHEAD if alone else 1
        self._depth = 1
        self._begun_at = 0.0
        self._clock: asyncio.TimerHandle | None = None
        self._room = asyncio.Event()

    def drop(self, run: OpenRun, reason: str) -> None:
        """Forget a run that has ended before the worker began it."""
        if self.held.pop(run.record.id, None) is not None:
            self.worker.cancel(run.record.id, run.record.attempt, reason)
            self._room.set()

    def ask_to_stop(self, run: OpenRun) -> None:
        """Ask the worker to stop a run that it has begun; end the worker if it does not."""
        if run.record.id in self.held:
            reason = run.cancel_reason or "cancelled by the caller"
            self.worker.cancel(run.record.id, run.record.attempt, reason)
            self._tasks.spawn(self._insist(run, run.record.attempt))

    # ------------------------------------------------------------------ giving out

    async def feed(self, queue_open: asyncio.Event) -> None:
        """Give the worker runs whenever it has room and the queue is open."""
        while True:
            await queue_open.wait()
            if not self.ready or len(self.held) >= self._depth:
                self._room.clear()
                await self._room.wait()
                continue
            taken: list[OpenRun] = []
            while len(self.held) + len(taken) < self._depth and (run := self._queue.take()) is not None:
                taken.append(run)
            if not taken:
                self._queue.changed.clear()
                await self._queue.changed.wait()
                continue
            for run in taken:
                self.held[run.record.id] = run
            await self._claim(taken)

    async def _claim(self, taken: Sequence[OpenRun]) -> None:
        """Make the attempts durable, then hand them over."""
        now = time.time()
        results = await self._ledger.claim(taken, now)
        for run, claimed in zip(taken, results, strict=True):
            if claimed is not True:
                self.held.pop(run.record.id, None)
                _log.warning("The run %s could not be claimed: %s", run.record.id, claimed)
                if not run.ended.is_set():
                    run.record = replace(run.record, attempt=run.record.attempt - 1)
                    self._queue.offer(run)
                continue
            run.record = replace(run.record, started=run.record.started or now)
            request = await self._ledger.request(run)
            if request is None:
                self.held.pop(run.record.id, None)
                self._tasks.spawn(
                    self._ledger.give_up(
                        run, "run-unreadable", "What the run was asked with cannot be read any more."
                    )
                )
                continue
            self._hand_over(run, request)
        if any(claimed is not True for claimed in results):
            await asyncio.sleep(RETRY_S)

    def _hand_over(self, run: OpenRun, request: RunRequest) -> None:
        if run.record.id not in self.held:
            return
        request = unseal(request)
        self.worker.submit(
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
        if self._patience.run_s is not None:
            self._tasks.spawn(self._time_out(run, run.record.attempt, self._patience.run_s))

    # ------------------------------------------------------------------ the workers

    async def tend(self) -> None:
        """Keep a worker alive, and act on what it says."""
        failures = 0
        while True:
            self.starts += 1
            try:
                await self.worker.start()
                async for message in self.worker.events():
                    self._hear(message)
            except OSError as error:
                self.trouble = f"The worker cannot be started: {error}."
            came_up, self.ready = self.ready, False
            _log.warning("The worker %s is gone; it held %d runs.", self.worker.name, len(self.held))
            await self._recover()
            failures = 0 if came_up else failures + 1
            await asyncio.sleep(_BACKOFF_S[min(failures, len(_BACKOFF_S) - 1)])

    def _hear(self, message: WorkerMessage) -> None:
        match message:
            case Happened() | Advanced() | Done() | Begun():
                run = self.held.get(message.run)
                if run is None or run.record.attempt != message.attempt:
                    return
                self._hear_of(run, message)
            case Ready():
                self.ready, self.device, self.trouble = True, message.device, ""
                self._room.set()
            case Broken():
                self.trouble = message.message
                _log.error("The worker %s cannot start: %s", self.worker.name, message.message)

    def _hear_of(self, run: OpenRun, message: Happened | Advanced | Done | Begun) -> None:
        match message:
            case Begun():
                self._queue.begin(run)
                self._begun_at = time.monotonic()
                self._watch()
                if run.cancel_reason is not None:
                    self.ask_to_stop(run)
            case Happened():
                self._ledger.record(run, message.events)
            case Advanced():
                held = Progress(
                    message.run,
                    message.node,
                    message.done,
                    message.total,
                    message.media_type,
                    message.preview,
                )
                self._ledger.advance(run, held)
            case Done():
                short = self._ahead > 1 and time.monotonic() - self._begun_at < _SHORT_S
                self._depth = self._ahead if short else 1
                self.held.pop(run.record.id, None)
                self._room.set()
                self._endings.spawn(self._ledger.end(run, ending_of(run, message)))

    def _watch(self) -> None:
        """See to it that nothing waits behind a run that takes long."""
        if len(self.held) > 1 and self._clock is None:
            self._clock = asyncio.get_running_loop().call_later(_LONG_S, self._withdraw)

    def _withdraw(self) -> None:
        self._clock = None
        waited = time.monotonic() - self._begun_at
        if waited < _LONG_S:
            self._watch()
            return
        self._depth = 1
        for run in [run for run in self.held.values() if not run.begun and run.cancel_reason is None]:
            del self.held[run.record.id]
            self.worker.cancel(run.record.id, run.record.attempt, "another worker may take it")
            self._tasks.spawn(self._ledger.give_back(run, lost=False, reason="the run before it takes long"))

    async def _recover(self) -> None:
        """Return what a dead worker held to the queue, or end what has been lost too often.

        The first of them is what it was at, told or not; the others were waiting.
        """
        for place, run in enumerate(list(self.held.values())):
            self.held.pop(run.record.id, None)
            lost = place == 0 or run.begun
            if run.cancel_reason is not None:
                ending = cancelled(run, run.cancel_reason)
                await self._ledger.end(run, ending)
            elif lost and run.record.losses + 1 >= MAX_LOSSES:
                await self._ledger.give_up(
                    run,
                    "worker-died",
                    f"The worker died {MAX_LOSSES} times while it ran this; it may need more memory than there is.",
                )
            else:
                await self._ledger.give_back(run, lost=lost, reason="the worker died")
        self._depth = 1
        self._room.set()

    async def _insist(self, run: OpenRun, attempt: int) -> None:
        """End a worker that does not heed a cancellation."""
        await asyncio.sleep(self._patience.cancel_s)
        if self.held.get(run.record.id) is run and run.record.attempt == attempt and run.begun:
            _log.warning("The run %s did not stop when asked; its worker is ended.", run.record.id)
            await self.worker.stop()

    async def _time_out(self, run: OpenRun, attempt: int, limit_s: float) -> None:
        await asyncio.sleep(limit_s)
        if (
            self.held.get(run.record.id) is run
            and run.record.attempt == attempt
            and run.cancel_reason is None
        ):
            run.cancel_reason = f"it took longer than {limit_s:g} s"
            self.ask_to_stop(run)
