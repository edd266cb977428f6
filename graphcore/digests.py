"""Digests of files, remembered between processes by size, time and inode, so that a checkpoint is read once."""

from __future__ import annotations

import sqlite3
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_WORTH_KEEPING_BYTES: Final = 2**20


@dataclass(frozen=True, slots=True)
class FileStamp:
    """What tells one state of a file from another without reading it."""

    path: str
    size: int
    mtime_ns: int
    inode: int


class DigestMemory:
    """Known digests: in memory, and in a small database where a path is given. Its failures are silent misses."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._known: dict[tuple[FileStamp, bool], str] = {}
        self._lock = threading.Lock()

    def get(self, stamp: FileStamp, *, whole: bool) -> str | None:
        """The digest of a file in this state, or None."""
        known = self._known.get((stamp, whole))
        kept = whole and stamp.size >= _WORTH_KEEPING_BYTES
        if known is None and kept and self._path is not None and self._path.exists():
            known = self._read(stamp)
            if known is not None:
                self._known[stamp, whole] = known
        return known

    def put(self, stamp: FileStamp, digest: str, *, whole: bool) -> None:
        """Remember a digest."""
        self._known[stamp, whole] = digest
        if whole and self._path is not None and stamp.size >= _WORTH_KEEPING_BYTES:
            self._write(stamp, digest)

    def _open(self, path: Path) -> sqlite3.Connection:
        connection = sqlite3.connect(path, timeout=5)
        connection.execute(
            "CREATE TABLE IF NOT EXISTS digests (path TEXT PRIMARY KEY, size INTEGER, mtime_ns INTEGER, "
            "inode INTEGER, digest TEXT) WITHOUT ROWID"
        )
        return connection

    def _read(self, stamp: FileStamp) -> str | None:
        assert self._path is not None
        try:
            with self._lock:
                connection = self._open(self._path)
                try:
                    row = connection.execute(
                        "SELECT digest FROM digests WHERE path = ? AND size = ? AND mtime_ns = ? AND inode = ?",
                        (stamp.path, stamp.size, stamp.mtime_ns, stamp.inode),
                    ).fetchone()
                finally:
                    connection.close()
        except sqlite3.Error:
            return None
        return None if row is None else str(row[0])

    def _write(self, stamp: FileStamp, digest: str) -> None:
        assert self._path is not None
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._lock:
                connection = self._open(self._path)
                try:
                    with connection:
                        connection.execute(
                            "INSERT OR REPLACE INTO digests VALUES (?, ?, ?, ?, ?)",
                            (stamp.path, stamp.size, stamp.mtime_ns, stamp.inode, digest),
                        )
                finally:
                    connection.close()
        except (sqlite3.Error, OSError):
            return
