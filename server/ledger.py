"""Makes durable what happens to open runs, and tells of it then: their events, their ends, their returns."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final

from server.endings import body_of, cancelled, ending_without_result
from server.errors import ServerError
from server.hub import Hub
from server.queue import OpenRun, RunQueue
from server.records import Progress, RunRequest, State, StoredEvent
from server.store import queries
from server.store import runs as rows
from server.store.database import Database
from server.store.events import append_while_open

RETRY_S: Final = 1.0
_log = logging.getLogger(__name__)


class Ledger:
    """The changes of open runs. `settled` is set whenever one has ended.

    What must be kept is tried again until the store takes it; once `closing`, what it does not take is left as it is,
    and found by the next start.
    """

    def __init__(self, *, database: Database, queue: RunQueue, hub: Hub, settled: asyncio.Event) -> None:
        self._database = database
        self._queue = queue
        self._hub = hub
        self._settled = settled
        self.closing = False
        self.finished: dict[State, int] = dict.fromkeys((State.SUCCEEDED, State.FAILED, State.CANCELLED), 0)

    async def claim(self, runs: Sequence[OpenRun], now: float) -> list[object]:
        """Make attempts durable; for each True, False if the run is not queued any more, or what went wrong."""
        claims = [
            self._database.write(
                partial(rows.claim_run, seq=run.record.seq, attempt=run.record.attempt, now=now)
            )
            for run in runs
        ]
        return list(await asyncio.gather(*claims, return_exceptions=True))

    async def request(self, run: OpenRun) -> RunRequest | None:
        """What a run was asked with, or None if that cannot be read any more."""
        if run.request is not None:
            return run.request
        try:
            return await self._database.read(partial(queries.get_request, seq=run.record.seq))
        except ServerError:
            return None

    def advance(self, run: OpenRun, progress: Progress) -> None:
        """Tell how far a node is; this is not kept."""
        run.progress[progress.node] = progress
        self._hub.publish(progress, run.record)

    def record(self, run: OpenRun, events: Sequence[Mapping[str, Any]]) -> None:
        """Store events, and publish them once they are durable; those of a run that ends before that are left out."""
        first = run.next_event
        bodies = [body_of(event) for event in events]
        run.next_event += len(bodies)
        record = run.record
        future = self._database.write(partial(append_while_open, seq=record.seq, first=first, events=bodies))

        def stored(done: asyncio.Future[bool]) -> None:
            if not done.cancelled() and (error := done.exception()) is not None:
                _log.error("Events of the run %s could not be stored: %s", record.id, error)
            elif not done.cancelled() and not done.result():
                return
            for place, body in enumerate(bodies):
                if body["event"] in ("node-finished", "node-failed"):
                    run.progress.pop(str(body.get("node")), None)
                self._hub.publish(StoredEvent(record.id, first + place, body), record)

        future.add_done_callback(stored)

    async def end(self, run: OpenRun, ending: rows.Ending) -> None:
        """Make an end durable, however long that takes, and tell of it."""
        run.next_event = ending.first_event + len(ending.events)
        ended = await self._insisted(partial(rows.finish_run, seq=run.record.seq, ending=ending), run)
        if not ended:
            _log.warning("The end of attempt %d of %s came too late.", ending.attempt, run.record.id)
            return
        self._settle(run, ending)

    async def give_up(self, run: OpenRun, code: str, sentence: str) -> None:
        """Make a run fail of which no worker tells."""
        error = {"code": code, "message": sentence}
        await self.end(run, ending_without_result(run, State.FAILED, error))

    async def cancel(self, run: OpenRun, reason: str) -> bool:
        """End a run that no worker has begun; False if one has, or it has ended. Raises StoreError."""
        ending = cancelled(run, reason)
        run.next_event += len(ending.events)
        ended = await self._database.write(partial(rows.cancel_run, seq=run.record.seq, ending=ending))
        if ended:
            self._settle(run, ending)
        return ended

    async def give_back(self, run: OpenRun, *, lost: bool, reason: str) -> None:
        """Return an attempt to the queue; `lost` if its worker died while it ran."""
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

    def _settle(self, run: OpenRun, ending: rows.Ending) -> None:
        """Tell of an end that is durable."""
        self._queue.remove(run)
        run.record = replace(run.record, state=ending.state, finished=ending.finished, error=ending.error)
        self.finished[ending.state] += 1
        for place, body in enumerate(ending.events):
            self._hub.publish(StoredEvent(run.record.id, ending.first_event + place, body), run.record)
        run.ended.set()
        self._settled.set()

    async def _insisted(self, change: partial[bool], run: OpenRun) -> bool:
        while True:
            try:
                return await self._database.write(change)
            except ServerError as error:
                _log.error("The run %s cannot be stored: %s Trying again.", run.record.id, error)
                if self.closing:
                    return False
                await asyncio.sleep(RETRY_S)
