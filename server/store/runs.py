"""Runs in the store: changes for the writer and queries for the readers, as functions of a connection."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from server.errors import RequestError
from server.records import (
    OutputRecord,
    RunRecord,
    RunRequest,
    RunResultRecord,
    State,
    StoredEvent,
    Submission,
)

_COLUMNS: Final = (
    "seq, id, state, priority, position, attempt, losses, interruptions, principal, source, alias, client,"
    " workflow_name, created, started, finished, error"
)
_SELECT: Final = f"SELECT {_COLUMNS} FROM runs"  # noqa: S608 - a constant


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A submission's place: its id and its number among all runs."""

    id: str
    seq: int
    created: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFilter:
    """Which runs to list. `before` is the `seq` to go on from; newest come first unless `oldest_first`."""

    states: tuple[State, ...] = ()
    principal: str | None = None
    source: str | None = None
    before: int | None = None
    limit: int = 50
    offset: int = 0
    oldest_first: bool = False


def dumps(value: object) -> str:
    """Compact JSON."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, default=str)


# ---------------------------------------------------------------------- changes


def insert_run(
    connection: sqlite3.Connection,
    submission: Submission,
    placed: Placed,
    events: Sequence[Mapping[str, object]],
) -> tuple[RunRecord, bool]:
    """Store a submission, or find the run that the same key stands for; True if it was found.

    Raises RequestError if the key was used for something else.
    """
    key = submission.idempotency
    if key is not None:
        row = connection.execute(
            "SELECT digest, run FROM idempotency WHERE principal = ? AND key = ?",
            (submission.principal, key.key),
        ).fetchone()
        if row is not None:
            if row[0] != key.digest:
                raise RequestError(
                    "This Idempotency-Key was used for another request; send a new key.",
                    code="idempotency-key-reused",
                    status=422,
                )
            found = _one(connection, "seq = ?", row[1])
            assert found is not None
            return found, True
    position = submission.number
    if position is None:
        position = float(-placed.seq if submission.front else placed.seq)
    connection.execute(
        "INSERT INTO runs (seq, id, state, priority, position, principal, source, alias, client, workflow_name,"
        " created) VALUES (?, ?, 'queued', ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            placed.seq,
            placed.id,
            submission.priority,
            position,
            submission.principal,
            submission.source,
            submission.alias,
            submission.client,
            submission.workflow_name,
            placed.created,
        ),
    )
    request = {
        "inputs": submission.inputs,
        "targets": submission.targets,
        "previews": submission.previews,
        "keep_going": submission.keep_going,
        "metadata": submission.metadata,
    }
    connection.execute(
        "INSERT INTO run_requests (run, document, request, extra) VALUES (?, ?, ?, ?)",
        (placed.seq, submission.document, dumps(request), dumps(submission.extra)),
    )
    append_events(connection, placed.seq, 0, events)
    if key is not None:
        connection.execute(
            "INSERT INTO idempotency (principal, key, digest, run) VALUES (?, ?, ?, ?)",
            (submission.principal, key.key, key.digest, placed.seq),
        )
    if submission.webhook is not None:
        connection.execute("INSERT INTO webhooks (run, url) VALUES (?, ?)", (placed.seq, submission.webhook))
    record = RunRecord(
        seq=placed.seq,
        id=placed.id,
        state=State.QUEUED,
        priority=submission.priority,
        position=position,
        attempt=0,
        losses=0,
        interruptions=0,
        principal=submission.principal,
        source=submission.source,
        alias=submission.alias,
        client=submission.client,
        workflow_name=submission.workflow_name,
        created=placed.created,
        started=None,
        finished=None,
        error=None,
    )
    return record, False


def append_events(
    connection: sqlite3.Connection, seq: int, first: int, events: Sequence[Mapping[str, object]]
) -> None:
    """Store events of a run, numbered from `first`."""
    if events:
        connection.execute(
            "INSERT INTO run_events (run, first, body) VALUES (?, ?, ?)", (seq, first, dumps(events))
        )


def claim_run(connection: sqlite3.Connection, seq: int, attempt: int, now: float) -> bool:
    """Move a run from queued to running; False if it is not queued any more."""
    changed = connection.execute(
        "UPDATE runs SET state = 'running', attempt = ?, started = COALESCE(started, ?)"
        " WHERE seq = ? AND state = 'queued'",
        (attempt, now, seq),
    )
    return changed.rowcount == 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How an attempt ended. `attempt` fences: the end of an attempt that was given up changes nothing."""

    attempt: int
    state: State
    finished: float
    error: Mapping[str, object] | None
    result: Mapping[str, object]
    outputs: Sequence[OutputRecord]
    first_event: int
    events: Sequence[Mapping[str, object]]


def finish_run(connection: sqlite3.Connection, seq: int, ending: Ending) -> bool:
    """Store the end of a run; False if another attempt has taken its place, or it has ended."""
    changed = connection.execute(
        "UPDATE runs SET state = ?, finished = ?, error = ? WHERE seq = ? AND attempt = ? AND state = 'running'",
        (ending.state.value, ending.finished, _error_text(ending.error), seq, ending.attempt),
    )
    if changed.rowcount != 1:
        return False
    _close_run(connection, seq, ending)
    return True


def cancel_run(connection: sqlite3.Connection, seq: int, ending: Ending) -> bool:
    """End a run that has not been begun; False if it has ended, or another attempt has taken its place."""
    changed = connection.execute(
        "UPDATE runs SET state = ?, finished = ?, error = ? WHERE seq = ? AND attempt <= ? AND finished IS NULL",
        (ending.state.value, ending.finished, _error_text(ending.error), seq, ending.attempt),
    )
    if changed.rowcount != 1:
        return False
    _close_run(connection, seq, ending)
    return True


def _close_run(connection: sqlite3.Connection, seq: int, ending: Ending) -> None:
    append_events(connection, seq, ending.first_event, ending.events)
    if ending.result:
        connection.execute("INSERT INTO run_results (run, result) VALUES (?, ?)", (seq, dumps(ending.result)))
    connection.executemany(
        "INSERT INTO outputs (id, run, node, position, kind, folder, subfolder, filename) VALUES (?,?,?,?,?,?,?,?)",
        [
            (
                entry.id,
                seq,
                entry.node,
                entry.position,
                entry.kind,
                entry.folder,
                entry.subfolder,
                entry.filename,
            )
            for entry in ending.outputs
        ],
    )
    connection.execute("UPDATE webhooks SET state = 'due' WHERE run = ?", (seq,))


def requeue_run(
    connection: sqlite3.Connection,
    seq: int,
    attempt: int,
    *,
    lost: bool,
    first_event: int,
    events: Sequence[Mapping[str, object]],
) -> bool:
    """Return a running attempt to the queue; `lost` if its worker died while it ran."""
    changed = connection.execute(
        "UPDATE runs SET state = 'queued', losses = losses + ? WHERE seq = ? AND attempt = ? AND state = 'running'",
        (int(lost), seq, attempt),
    )
    if changed.rowcount == 1:
        append_events(connection, seq, first_event, events)
    return changed.rowcount == 1


def interrupt_running(connection: sqlite3.Connection) -> int:
    """Return to the queue what was running when the server last stopped; returns how many.

    Whatever waits begins with a clean count of lost workers: that its worker died is held against a run only while the
    server that saw it goes on.
    """
    count = connection.execute(
        "UPDATE runs SET state = 'queued', interruptions = interruptions + 1 WHERE state = 'running'"
    ).rowcount
    connection.execute("UPDATE runs SET losses = 0 WHERE state = 'queued' AND losses > 0")
    return count


def hide_runs(connection: sqlite3.Connection, ids: Iterable[str] | None, *, source: str | None = None) -> int:
    """Take finished runs out of the lists (all of them if `ids` is None); they can still be asked for by id."""
    hide = "UPDATE runs SET hidden = 1 WHERE finished IS NOT NULL AND (?1 IS NULL OR source = ?1)"
    if ids is None:
        return connection.execute(hide, (source,)).rowcount
    count = 0
    for run_id in ids:
        count += connection.execute(f"{hide} AND id = ?2", (source, run_id)).rowcount
    return count


def prune_runs(connection: sqlite3.Connection, keep: int, at_most: int = 500) -> int:
    """Forget the oldest finished runs beyond `keep`; files stay. Returns how many were forgotten."""
    newest = connection.execute(
        "SELECT finished FROM runs WHERE finished IS NOT NULL ORDER BY finished DESC LIMIT 1 OFFSET ?",
        (keep,),
    ).fetchone()
    if newest is None:
        return 0
    return connection.execute(
        "DELETE FROM runs WHERE seq IN (SELECT seq FROM runs WHERE finished <= ? ORDER BY finished LIMIT ?)",
        (newest[0], at_most),
    ).rowcount


def _error_text(error: Mapping[str, object] | None) -> str | None:
    return None if error is None else dumps(error)


# ---------------------------------------------------------------------- queries


def get_run(connection: sqlite3.Connection, run_id: str) -> RunRecord | None:
    """A run by its id."""
    return _one(connection, "id = ?", run_id)


def get_run_by_alias(connection: sqlite3.Connection, alias: str) -> RunRecord | None:
    """The newest run that a client gave this name."""
    return _one(connection, "alias = ? ORDER BY seq DESC LIMIT 1", alias)


def list_runs(connection: sqlite3.Connection, wanted: RunFilter) -> list[RunRecord]:
    """Runs that are not hidden, by the filter."""
    clauses, values = _clauses(wanted)
    if wanted.before is not None:
        clauses.append("seq > ?" if wanted.oldest_first else "seq < ?")
        values.append(wanted.before)
    order = "ASC" if wanted.oldest_first else "DESC"
    rows = connection.execute(
        f"{_SELECT} WHERE {' AND '.join(clauses)} ORDER BY seq {order} LIMIT ? OFFSET ?",
        (*values, wanted.limit, wanted.offset),
    )
    return [_record(row) for row in rows]


def count_runs(connection: sqlite3.Connection, wanted: RunFilter) -> int:
    """How many runs a filter matches, whatever its limit."""
    clauses, values = _clauses(wanted)
    return int(
        connection.execute(f"SELECT COUNT(*) FROM runs WHERE {' AND '.join(clauses)}", values).fetchone()[0]  # noqa: S608
    )


def open_runs(connection: sqlite3.Connection) -> list[RunRecord]:
    """All runs that have not ended."""
    rows = connection.execute(f"{_SELECT} WHERE state IN ('queued', 'running') ORDER BY seq")
    return [_record(row) for row in rows]


def last_run(connection: sqlite3.Connection) -> tuple[int, str | None]:
    """The greatest number given to a run, and the greatest id."""
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'runs'").fetchone()
    newest = connection.execute("SELECT MAX(id) FROM runs").fetchone()[0]
    return (int(row[0]) if row is not None else 0), newest


def get_request(connection: sqlite3.Connection, seq: int) -> RunRequest | None:
    """What a run was asked with."""
    row = connection.execute(
        "SELECT document, request, extra FROM run_requests WHERE run = ?", (seq,)
    ).fetchone()
    if row is None:
        return None
    request = json.loads(row[1])
    targets = request["targets"]
    return RunRequest(
        document=bytes(row[0]),
        inputs=request["inputs"],
        targets=None if targets is None else tuple(targets),
        previews=request["previews"],
        keep_going=request["keep_going"],
        metadata=request["metadata"],
        extra=json.loads(row[2]),
    )


def get_result(connection: sqlite3.Connection, seq: int) -> RunResultRecord | None:
    """How a run ended, if it was begun."""
    row = connection.execute("SELECT result FROM run_results WHERE run = ?", (seq,)).fetchone()
    if row is None:
        return None
    held: dict[str, Any] = json.loads(row[0])
    return RunResultRecord(**{name: held[name] for name in RunResultRecord.__dataclass_fields__})


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


def outputs_of(connection: sqlite3.Connection, run: RunRecord) -> list[OutputRecord]:
    """The files that a run made, in order."""
    rows = connection.execute(
        "SELECT id, node, position, kind, folder, subfolder, filename FROM outputs WHERE run = ? ORDER BY position",
        (run.seq,),
    )
    return [
        OutputRecord(
            id=row[0],
            run=run.id,
            node=row[1],
            position=row[2],
            kind=row[3],
            folder=row[4],
            subfolder=row[5],
            filename=row[6],
        )
        for row in rows
    ]


def outputs_named(
    connection: sqlite3.Connection, folder: str, subfolder: str, filename: str
) -> list[tuple[str, OutputRecord]]:
    """The outputs that a file stands for, each with the principal of its run."""
    rows = connection.execute(
        "SELECT r.principal, o.id, r.id, o.node, o.position, o.kind FROM outputs o JOIN runs r ON r.seq = o.run"
        " WHERE o.filename = ? AND o.subfolder = ? AND o.folder = ?",
        (filename, subfolder, folder),
    )
    return [
        (
            row[0],
            OutputRecord(
                id=row[1],
                run=row[2],
                node=row[3],
                position=row[4],
                kind=row[5],
                folder=folder,
                subfolder=subfolder,
                filename=filename,
            ),
        )
        for row in rows
    ]


def _clauses(wanted: RunFilter) -> tuple[list[str], list[object]]:
    clauses, values = ["hidden = 0"], list[object]()
    if wanted.states:
        clauses.append(f"state IN ({','.join('?' * len(wanted.states))})")
        values.extend(state.value for state in wanted.states)
    for column, value in (("principal", wanted.principal), ("source", wanted.source)):
        if value is not None:
            clauses.append(f"{column} = ?")
            values.append(value)
    return clauses, values


def _one(connection: sqlite3.Connection, where: str, value: object) -> RunRecord | None:
    row = connection.execute(f"{_SELECT} WHERE {where}", (value,)).fetchone()
    return None if row is None else _record(row)


def _record(row: Sequence[Any]) -> RunRecord:
    return RunRecord(
        seq=row[0],
        id=row[1],
        state=State(row[2]),
        priority=row[3],
        position=row[4],
        attempt=row[5],
        losses=row[6],
        interruptions=row[7],
        principal=row[8],
        source=row[9],
        alias=row[10],
        client=row[11],
        workflow_name=row[12],
        created=row[13],
        started=row[14],
        finished=row[15],
        error=None if row[16] is None else json.loads(row[16]),
    )
