"""The index of the files that runs made."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from server.records import OutputRecord, RunRecord


def insert_outputs(connection: sqlite3.Connection, seq: int, outputs: Iterable[OutputRecord]) -> None:
    """Store the files that a run made."""
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
            for entry in outputs
        ],
    )


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
