"""The index of the persistent store: what is held, what it cost, what was seen before.

One SQLite file, shared by processes.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Collection, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from graphcore.cache.entry import NodeRun

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS entries (
    name TEXT PRIMARY KEY, size INTEGER NOT NULL, seconds REAL NOT NULL, worth REAL NOT NULL,
    created REAL NOT NULL, type TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS entries_by_worth ON entries (worth);
CREATE TABLE IF NOT EXISTS seen (name TEXT PRIMARY KEY, at REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS timings (
    type TEXT NOT NULL, work TEXT NOT NULL, seconds REAL NOT NULL, size INTEGER NOT NULL, count INTEGER NOT NULL,
    PRIMARY KEY (type, work)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS history (
    node TEXT NOT NULL, type TEXT NOT NULL, version INTEGER NOT NULL, inputs TEXT NOT NULL, at REAL NOT NULL,
    PRIMARY KEY (node, type)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value REAL NOT NULL) WITHOUT ROWID;
"""
_SEEN_LIMIT: Final = 200_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """What a kind of work has cost: mean seconds and the bytes of its results."""

    seconds: float
    size: int
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PastNode:
    """A node as it was last run: its type's version, and a digest of each input."""

    version: int
    inputs: Mapping[str, str]


class StoreIndex:
    """The index of one store folder. Raises sqlite3.Error; the store turns that into misses and warnings."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._local = threading.local()
        self._connections: list[sqlite3.Connection] = []
        self._lock = threading.Lock()

    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = sqlite3.connect(self.path, timeout=10, isolation_level=None, check_same_thread=False)
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
            connection.executescript(_SCHEMA)
            self._local.connection = connection
            with self._lock:
                self._connections.append(connection)
        return connection

    def close(self) -> None:
        """Close the connections of all threads."""
        with self._lock:
            for connection in self._connections:
                connection.close()
            self._connections.clear()
        self._local = threading.local()

    def add(self, name: str, node_type: str, size: int, seconds: float) -> None:
        """Note an entry that has been written."""
        now = time.time()
        connection = self._connection()
        connection.execute("BEGIN IMMEDIATE")
        try:
            worth = self._age(connection) + seconds / max(size, 1)
            connection.execute(
                "INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?, ?, ?)",
                (name, size, seconds, worth, now, node_type),
            )
            connection.execute("INSERT OR REPLACE INTO seen VALUES (?, ?)", (name, now))
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise

    @staticmethod
    def _age(connection: sqlite3.Connection) -> float:
        row = connection.execute("SELECT value FROM meta WHERE name = 'age'").fetchone()
        return float(row[0]) if row is not None else 0.0

    def touch(self, name: str) -> None:
        """Note that an entry was used."""
        connection = self._connection()
        age = self._age(connection)
        connection.execute(
            "UPDATE entries SET worth = ? + seconds / MAX(size, 1) WHERE name = ?", (age, name)
        )

    def remove(self, names: Iterable[str]) -> None:
        """Forget entries; that they were seen is remembered."""
        self._connection().executemany("DELETE FROM entries WHERE name = ?", [(name,) for name in names])

    def total(self) -> tuple[int, int]:
        """The number of entries and their bytes."""
        row = self._connection().execute("SELECT COUNT(*), COALESCE(SUM(size), 0) FROM entries").fetchone()
        return int(row[0]), int(row[1])

    def least_worth(self, excess: int) -> list[str]:
        """The entries of least worth that together hold at least `excess` bytes; what goes sets the store's age."""
        connection = self._connection()
        names: list[str] = []
        freed, age = 0, 0.0
        with closing(connection.execute("SELECT name, size, worth FROM entries ORDER BY worth")) as rows:
            for name, size, worth in rows:
                if freed >= excess:
                    break
                names.append(name)
                freed += size
                age = worth
        if names:
            connection.execute("INSERT OR REPLACE INTO meta VALUES ('age', ?)", (age,))
            connection.execute(
                "DELETE FROM seen WHERE name IN (SELECT name FROM seen ORDER BY at DESC LIMIT -1 OFFSET ?)",
                (_SEEN_LIMIT,),
            )
        return names

    def held(self, names: Collection[str]) -> set[str]:
        """Which of these entries the index lists."""
        return self._present("entries", names)

    def was_seen(self, names: Collection[str]) -> set[str]:
        """Which of these have been stored at some time."""
        return self._present("seen", names)

    def _present(self, table: str, names: Collection[str]) -> set[str]:
        connection = self._connection()
        found: set[str] = set()
        pending = list(names)
        for start in range(0, len(pending), 500):
            chunk = pending[start : start + 500]
            marks = ",".join("?" * len(chunk))
            query = f"SELECT name FROM {table} WHERE name IN ({marks})"  # noqa: S608
            found.update(row[0] for row in connection.execute(query, chunk))
        return found

    def all_entries(self) -> list[str]:
        """The names of all entries."""
        return [row[0] for row in self._connection().execute("SELECT name FROM entries ORDER BY name")]

    def by_type(self) -> list[tuple[str, int, int, float]]:
        """For each node type: entries, bytes, and the seconds that they stand for."""
        query = "SELECT type, COUNT(*), SUM(size), SUM(seconds) FROM entries GROUP BY type ORDER BY SUM(size) DESC"
        return [
            (str(row[0]), int(row[1]), int(row[2]), float(row[3]))
            for row in self._connection().execute(query)
        ]

    def remember(self, runs: Iterable[NodeRun]) -> None:
        """Note how the nodes of a run came out, in one transaction."""
        now = time.time()
        connection = self._connection()
        connection.execute("BEGIN IMMEDIATE")
        try:
            for run in runs:
                connection.execute(
                    "INSERT OR REPLACE INTO history VALUES (?, ?, ?, ?, ?)",
                    (run.node, run.type, run.version, json.dumps(run.inputs), now),
                )
                if run.seconds is not None:
                    for work in (run.work, ""):
                        self._add_timing(connection, run, work)
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise

    @staticmethod
    def _add_timing(connection: sqlite3.Connection, run: NodeRun, work: str) -> None:
        connection.execute(
            """INSERT INTO timings VALUES (?, ?, ?, ?, 1) ON CONFLICT (type, work) DO UPDATE SET
               seconds = seconds + (excluded.seconds - seconds) / MIN(count + 1, 10),
               size = excluded.size, count = count + 1""",
            (run.type, work, run.seconds, run.size),
        )

    def timing(self, node_type: str, work: str) -> Timing | None:
        """What this work has cost before; of the node type in general if it was never done."""
        for key in (work, ""):
            row = (
                self._connection()
                .execute(
                    "SELECT seconds, size, count FROM timings WHERE type = ? AND work = ?", (node_type, key)
                )
                .fetchone()
            )
            if row is not None:
                return Timing(seconds=float(row[0]), size=int(row[1]), count=int(row[2]))
        return None

    def past(self, node: str, node_type: str) -> PastNode | None:
        """A node as it was last run, or None."""
        row = (
            self._connection()
            .execute("SELECT version, inputs FROM history WHERE node = ? AND type = ?", (node, node_type))
            .fetchone()
        )
        return None if row is None else PastNode(version=int(row[0]), inputs=json.loads(row[1]))

    def clear(self) -> None:
        """Forget all entries and what was seen; timings stay."""
        connection = self._connection()
        connection.execute("DELETE FROM entries")
        connection.execute("DELETE FROM seen")
        connection.execute("DELETE FROM history")
