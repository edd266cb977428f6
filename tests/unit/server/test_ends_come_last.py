"""The end of a run is the last that is told of it, whatever a worker says meanwhile."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

from server.hub import Hub, Message
from server.ledger import Ledger
from server.queue import OpenRun, RunQueue
from server.records import RunRecord, StoredEvent, Submission
from server.store import runs as rows
from server.store.database import Database
from server.store.events import events_after


async def cancelled_while_its_worker_speaks(folder: Path) -> tuple[list[str], list[str]]:
    """What is told and what is stored of a run that is cancelled just when its worker begins it."""
    database, queue, hub = Database(folder / "graphcore.sqlite3"), RunQueue(), Hub()
    told: list[str] = []

    def listen(message: Message, run: RunRecord) -> None:
        assert isinstance(message, StoredEvent)
        told.append(message.kind)

    hub.listen(listen)
    database.open()
    try:
        placed = rows.Placed(id="01HZZZZZZZZZZZZZZZZZZZZZZZ", seq=1, created=0.0)
        queued = [{"event": "run-queued", "time": 0.0}]
        submission = Submission(document=b"{}")
        record, _ = await database.write(
            partial(rows.insert_run, submission=submission, placed=placed, events=queued)
        )
        run = OpenRun(record=record, request=None, next_event=1)
        queue.add(run)
        ledger = Ledger(database=database, queue=queue, hub=hub, settled=asyncio.Event())

        cancelling = asyncio.get_running_loop().create_task(ledger.cancel(run, "no longer wanted"))
        await asyncio.sleep(0)
        ledger.record(run, [{"event": "run-started", "time": 0.0}])

        assert await cancelling
        await database.write(lambda connection: None)
        stored = await database.read(partial(events_after, run=record, after=-1))
        return told, [event.kind for event in stored]
    finally:
        await database.close()


def test_what_a_worker_says_of_a_run_that_has_been_cancelled_is_left_out(tmp_path: Path) -> None:
    told, stored = asyncio.run(cancelled_while_its_worker_speaks(tmp_path))

    assert told == ["run-finished"]
    assert stored == ["run-queued", "run-finished"]
