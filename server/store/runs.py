"""Changes of runs in the store, as functions of the writer's connection: from submission to end."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from server.errors import RequestError
from server.records import OutputRecord, RunRecord, State, Submission
from server.store.columns import dumps
from server.store.events import append_events
from server.store.outputs import insert_outputs
from server.store.queries import one_run


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A submission's place: its id and its number among all runs."""

    id: str
    seq: int
    created: float


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
            found = one_run(connection, "seq = ?", row[1])
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
    if submission.secrets:
        connection.execute(
            "INSERT INTO run_secrets (run, body) VALUES (?, ?)", (placed.seq, dumps(submission.secrets))
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
    return _end_run(connection, seq, ending, "attempt = ? AND state = 'running'")


def cancel_run(connection: sqlite3.Connection, seq: int, ending: Ending) -> bool:
    """End a run that has not been begun; False if it has ended, or another attempt has taken its place."""
    return _end_run(connection, seq, ending, "attempt <= ? AND finished IS NULL")


def _end_run(connection: sqlite3.Connection, seq: int, ending: Ending, condition: str) -> bool:
    error = None if ending.error is None else dumps(ending.error)
    changed = connection.execute(
        f"UPDATE runs SET state = ?, finished = ?, error = ? WHERE seq = ? AND {condition}",  # noqa: S608
        (ending.state.value, ending.finished, error, seq, ending.attempt),
    )
    if changed.rowcount != 1:
        return False
    append_events(connection, seq, ending.first_event, ending.events)
    if ending.result:
        connection.execute("INSERT INTO run_results (run, result) VALUES (?, ?)", (seq, dumps(ending.result)))
    insert_outputs(connection, seq, ending.outputs)
    connection.execute("DELETE FROM run_secrets WHERE run = ?", (seq,))
    connection.execute("UPDATE webhooks SET state = 'due' WHERE run = ?", (seq,))
    return True


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
