"""The job service, which routes talk to: takes submissions, tells how runs stand, cancels, lets others watch."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Final

from server.dispatch import MAX_INTERRUPTIONS, Dispatcher
from server.errors import NotFound, QueueFull, RequestError, ServerError
from server.hub import Hub, Listener, Subscription
from server.ids import UlidSource
from server.queue import OpenRun, RunQueue
from server.records import (
    Accepted,
    OutputRecord,
    Progress,
    RunRecord,
    RunRequest,
    RunResultRecord,
    State,
    StoredEvent,
    Submission,
)
from server.slot import Patience
from server.store import queries
from server.store import runs as rows
from server.store.database import Database
from server.store.events import events_after, next_event
from server.store.outputs import outputs_named, outputs_of
from server.store.queries import RunFilter
from server.workers.interface import Worker

_RETRY_AFTER_S: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class JobLimits:
    """How much is kept: runs that wait, in all and of one principal, and runs that have ended."""

    waiting: int = 10_000
    waiting_each: int = 10_000
    history: int = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueSnapshot:
    """The queue at one moment: what is under way, and what waits, in order."""

    running: tuple[RunRecord, ...]
    waiting: tuple[RunRecord, ...]
    paused: bool


class JobService:
    """Runs, from submission to end. All methods are for the event loop's thread.

    `principal` arguments limit an answer to that principal's runs; None means that the caller may see all.
    """

    def __init__(
        self,
        *,
        database: Database,
        workers: Iterable[Worker],
        limits: JobLimits | None = None,
        patience: Patience | None = None,
    ) -> None:
        self._database = database
        self._limits = limits or JobLimits()
        self._queue = RunQueue()
        self.hub = Hub()
        self.dispatcher = Dispatcher(
            database=database,
            queue=self._queue,
            hub=self.hub,
            workers=tuple(workers),
            patience=patience,
        )
        self._ids = UlidSource()
        self._seq = 0
        self._arriving = 0
        self._draining = False
        self._pruned_at = 0
        self.accepted = 0

    async def start(self) -> int:
        """Take up what the store holds, then start the workers; returns how many runs had been interrupted."""
        interrupted = await self._database.write(rows.interrupt_running)
        self._seq, newest = await self._database.read(queries.last_run)
        self._ids = UlidSource(after=newest)
        for record in await self._database.read(queries.open_runs):
            following = await self._database.read(partial(next_event, seq=record.seq))
            run = OpenRun(record=record, request=None, next_event=following)
            self._queue.add(run)
            if record.interruptions >= MAX_INTERRUPTIONS:
                await self.dispatcher.cancel(
                    run, f"the server stopped {record.interruptions} times while it ran"
                )
        self.dispatcher.start()
        return interrupted

    async def stop(self, grace_s: float = 10.0) -> int:
        """Take no more runs, let those under way end, return the rest to the queue; returns how many went back."""
        self._draining = True
        return await self.dispatcher.stop(grace_s)

    # ------------------------------------------------------------------ submitting

    async def submit(self, submission: Submission) -> Accepted:
        """Take a validated run; it is durable when this returns.

        Raises QueueFull, StoreError, RequestError for a reused key, ServerError while the server is stopping.
        """
        self._make_room(submission.principal)
        self._seq += 1
        placed = rows.Placed(id=self._ids.new(), seq=self._seq, created=time.time())
        event = {"event": "run-queued", "time": placed.created}
        self._arriving += 1
        try:
            record, replayed = await self._database.write(
                partial(rows.insert_run, submission=submission, placed=placed, events=[event])
            )
        finally:
            self._arriving -= 1
        if not replayed:
            self.accepted += 1
            request = RunRequest(
                document=submission.document,
                inputs=submission.inputs,
                targets=submission.targets,
                previews=submission.previews,
                keep_going=submission.keep_going,
                metadata=submission.metadata,
                extra=submission.extra,
                secrets=submission.secrets,
            )
            self._queue.add(OpenRun(record=record, request=request, next_event=1))
            self.hub.publish(StoredEvent(record.id, 0, event), record)
            self._prune_sometimes()
        return Accepted(run=record, replayed=replayed)

    def _make_room(self, principal: str) -> None:
        if self._draining:
            raise ServerError(
                "The server is stopping; send the request again in a moment.",
                code="stopping",
                status=503,
                retry_after=5,
            )
        if self._queue.waiting + self._arriving >= self._limits.waiting:
            raise QueueFull(
                f"The queue holds {self._limits.waiting} runs and takes no more; try again later.",
                retry_after=_RETRY_AFTER_S,
            )
        if self._queue.of_principal(principal) + self._arriving >= self._limits.waiting_each:
            raise QueueFull(
                f"You have {self._limits.waiting_each} runs waiting, which is your limit; try again later.",
                code="quota",
                retry_after=_RETRY_AFTER_S,
            )

    def _prune_sometimes(self) -> None:
        if self._seq - self._pruned_at >= 256:
            self._pruned_at = self._seq
            self._database.write(partial(rows.prune_runs, keep=self._limits.history)).add_done_callback(
                _ignore
            )

    # ------------------------------------------------------------------ asking

    async def get(self, run_id: str, principal: str | None = None) -> RunRecord:
        """How a run stands; raises NotFound."""
        held = self._queue.get(run_id)
        record = (
            held.record
            if held is not None
            else await self._database.read(partial(queries.get_run, run_id=run_id))
        )
        if record is None or (principal is not None and record.principal != principal):
            raise NotFound("There is no such run.")
        return record

    async def runs(self, wanted: RunFilter) -> list[RunRecord]:
        """Runs by a filter, newest first unless it says otherwise."""
        found = await self._database.read(partial(queries.list_runs, wanted=wanted))
        held = (self._queue.get(record.id) for record in found)
        return [record if run is None else run.record for record, run in zip(found, held, strict=True)]

    async def count(self, wanted: RunFilter) -> int:
        """How many runs a filter matches."""
        return await self._database.read(partial(queries.count_runs, wanted=wanted))

    async def request(self, run: RunRecord) -> RunRequest:
        """What a run was asked with."""
        held = self._queue.get(run.id)
        found = held.request if held is not None else None
        found = found or await self._database.read(partial(queries.get_request, seq=run.seq))
        if found is None:
            raise NotFound("There is no such run.")
        return found

    async def result(self, run: RunRecord) -> RunResultRecord | None:
        """How a run ended; None if it has not, or was never begun."""
        return await self._database.read(partial(queries.get_result, seq=run.seq))

    async def outputs(self, run: RunRecord) -> list[OutputRecord]:
        """The files that a run made, in order."""
        return await self._database.read(partial(outputs_of, run=run))

    async def outputs_named(
        self, folder: str, subfolder: str, filename: str
    ) -> list[tuple[str, OutputRecord]]:
        """The outputs that a file stands for, each with its run's principal."""
        return await self._database.read(
            partial(outputs_named, folder=folder, subfolder=subfolder, filename=filename)
        )

    async def events(self, run: RunRecord, after: int = -1, batches: int = -1) -> list[StoredEvent]:
        """The durable events of a run with a greater number than `after`.

        `batches` limits how many are read at once (those after the last one can be read next); -1 reads all.
        """
        return await self._database.read(partial(events_after, run=run, after=after, batches=batches))

    async def wait(self, run: RunRecord, timeout_s: float) -> RunRecord:
        """The run when it has ended, or as it stands after so many seconds."""
        held = self._queue.get(run.id)
        if held is None:
            return await self.get(run.id)
        with suppress(TimeoutError):
            await asyncio.wait_for(held.ended.wait(), timeout_s)
        return held.record

    def queue(self, principal: str | None = None) -> QueueSnapshot:
        """The queue as it stands."""

        def own(runs: Iterable[OpenRun]) -> tuple[RunRecord, ...]:
            return tuple(run.record for run in runs if principal is None or run.record.principal == principal)

        return QueueSnapshot(
            running=own(self._queue.running()),
            waiting=own(self._queue.in_order()),
            paused=self.dispatcher.paused,
        )

    def place(self, run_id: str) -> int | None:
        """How many runs go before one that waits; None if it does not wait."""
        held = self._queue.get(run_id)
        if held is None or held.record.state is not State.QUEUED:
            return None
        return sum(1 for other in self._queue.in_order() if other.order < held.order)

    def progress(self, run_id: str) -> tuple[Progress, ...]:
        """How far the nodes of a run are that are being run now."""
        held = self._queue.get(run_id)
        return tuple(held.progress.values()) if held is not None else ()

    @property
    def remaining(self) -> int:
        """How many runs have not ended."""
        return len(self._queue)

    @property
    def waiting(self) -> int:
        """How many runs wait."""
        return self._queue.waiting

    # ------------------------------------------------------------------ changing

    async def cancel(
        self, run_id: str, principal: str | None = None, reason: str = "cancelled by the caller"
    ) -> RunRecord:
        """Cancel a run: at once if it waits, within a step if it is under way.

        Raises NotFound, and RequestError (409) if it has ended.
        """
        record = await self.get(run_id, principal)
        held = self._queue.get(run_id)
        if record.state.finished or held is None:
            raise RequestError(
                f"The run has {record.state.value} already; there is nothing to cancel.",
                code="run-finished",
                status=409,
            )
        if held.cancel_reason is None:
            await self.dispatcher.cancel(held, reason)
        return held.record

    async def clear_waiting(self, ids: Collection[str] | None = None, principal: str | None = None) -> int:
        """Cancel runs that wait (all if no ids are given); returns how many."""
        chosen = [
            run
            for run in self._queue.in_order()
            if (ids is None or run.record.id in ids)
            and (principal is None or run.record.principal == principal)
        ]
        for run in chosen:
            if run.cancel_reason is None:
                await self.dispatcher.cancel(run, "taken out of the queue")
        return len(chosen)

    async def forget(self, ids: Collection[str] | None = None, source: str | None = None) -> int:
        """Take finished runs out of the lists (all if no ids are given); returns how many."""
        return await self._database.write(partial(rows.hide_runs, ids=ids, source=source))

    def pause(self) -> None:
        """Begin no more runs."""
        self.dispatcher.pause()

    def resume(self) -> None:
        """Begin runs again."""
        self.dispatcher.resume()

    # ------------------------------------------------------------------ watching

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Be told of everything that happens to any run; returns how to end that. See `Hub.listen`."""
        return self.hub.listen(listener)

    def subscribe(self, run: RunRecord) -> Subscription:
        """Be told of what happens to one run from now on, beginning with how far its nodes are.

        Read `events` after subscribing, and leave out of the subscription what came with those: nothing is missed.
        """
        subscription = self.hub.subscribe(run.id)
        held = self._queue.get(run.id)
        if held is not None:
            for progress in held.progress.values():
                subscription.take(progress)
        return subscription


def _ignore(done: asyncio.Future[int]) -> None:
    if not done.cancelled():
        done.exception()
