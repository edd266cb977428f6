"""The store's schema as numbered SQL files; `PRAGMA user_version` says which have been applied."""

from __future__ import annotations

import re
import sqlite3
from dataclasses import dataclass
from importlib.resources import files

from server.errors import StartError


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema."""

    number: int
    name: str
    sql: str


def migrations() -> list[Migration]:
    """All steps, in order."""
    found = []
    for entry in files(__package__).iterdir():
        match = re.fullmatch(r"(\d{4})_(\w+)\.sql", entry.name)
        if match is not None:
            found.append(Migration(int(match[1]), match[2], entry.read_text(encoding="utf-8")))
    return sorted(found, key=lambda migration: migration.number)


def migrate(connection: sqlite3.Connection) -> int:
    """Apply the steps that are missing, each in a transaction; returns how many.

    Raises StartError if the file was written by a newer version.
    """
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    steps = migrations()
    newest = steps[-1].number
    if version > newest:
        raise StartError(
            f"The database has schema {version}, and this version of graphcore knows schema {newest}; "
            "use the newer graphcore, or another --data-dir.",
            code="newer-database",
        )
    applied = 0
    for step in steps:
        if step.number <= version:
            continue
        connection.executescript(f"BEGIN IMMEDIATE;\n{step.sql}\nPRAGMA user_version={step.number};\nCOMMIT;")
        applied += 1
    return applied
