"""Questions about runs, as functions of a reader's connection."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from server.records import RunRecord, RunRequest, RunResultRecord, State

_COLUMNS: Final = (
    "seq, id, state, priority, position, attempt, losses, interruptions, principal, source, alias, client,"
    " workflow_name, created, started, finished, error"
)
_SELECT: Final = f"SELECT {_COLUMNS} FROM runs"  # noqa: S608 - a constant


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


def one_run(connection: sqlite3.Connection, where: str, value: object) -> RunRecord | None:
    """The run that a condition with one value holds for, or None."""
    row = connection.execute(f"{_SELECT} WHERE {where}", (value,)).fetchone()
    return None if row is None else _record(row)


def get_run(connection: sqlite3.Connection, run_id: str) -> RunRecord | None:
    """A run by its id."""
    return one_run(connection, "id = ?", run_id)


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
        "SELECT q.document, q.request, q.extra, s.body FROM run_requests q LEFT JOIN run_secrets s ON s.run = q.run"
        " WHERE q.run = ?",
        (seq,),
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
        secrets={} if row[3] is None else json.loads(row[3]),
    )


def get_result(connection: sqlite3.Connection, seq: int) -> RunResultRecord | None:
    """How a run ended, if it was begun."""
    row = connection.execute("SELECT result FROM run_results WHERE run = ?", (seq,)).fetchone()
    if row is None:
        return None
    held: dict[str, Any] = json.loads(row[0])
    return RunResultRecord(**{name: held[name] for name in RunResultRecord.__dataclass_fields__})


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
