"""The events of runs in the store, in the batches in which they came."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence

from server.records import RunRecord, StoredEvent
from server.store.columns import dumps


def append_events(
    connection: sqlite3.Connection, seq: int, first: int, events: Sequence[Mapping[str, object]]
) -> None:
    """Store events of a run, numbered from `first`."""
    if events:
        connection.execute(
            "INSERT INTO run_events (run, first, body) VALUES (?, ?, ?)", (seq, first, dumps(events))
        )


def append_while_open(
    connection: sqlite3.Connection, seq: int, first: int, events: Sequence[Mapping[str, object]]
) -> bool:
    """Store events of a run, unless it has ended meanwhile; then False."""
    still = connection.execute("SELECT 1 FROM runs WHERE seq = ? AND finished IS NULL", (seq,)).fetchone()
    if still is not None:
        append_events(connection, seq, first, events)
    return still is not None


def events_after(
    connection: sqlite3.Connection, run: RunRecord, after: int, batches: int = -1
) -> list[StoredEvent]:
    """The events of a run whose number is greater than `after`, those of so many batches (-1: all)."""
    rows = connection.execute(
        "SELECT first, body FROM run_events WHERE run = ? AND first >= COALESCE((SELECT MAX(first) FROM run_events"
        " WHERE run = ? AND first <= ?), 0) ORDER BY first LIMIT ?",
        (run.seq, run.seq, after + 1, batches),
    )
    found = []
    for first, body in rows:
        for place, event in enumerate(json.loads(body)):
            if first + place > after:
                found.append(StoredEvent(run.id, first + place, event))
    return found


def next_event(connection: sqlite3.Connection, seq: int) -> int:
    """The number of a run's next event."""
    row = connection.execute(
        "SELECT first, body FROM run_events WHERE run = ? ORDER BY first DESC LIMIT 1", (seq,)
    ).fetchone()
    return 0 if row is None else int(row[0]) + len(json.loads(row[1]))
