"""One SQLite file, one writer thread that commits many callers' changes at once, and readers beside it.

A change is a function of the connection. The writer takes all that wait, runs each in a savepoint, commits once
(`synchronous=FULL`: the bytes are on the disk) and only then tells the callers. A change that raises spoils no other.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from server.errors import DAMAGED, DISK_FULL, READ_ONLY, StartError, StoreError
from server.store.migrations import migrate

ResultT = TypeVar("ResultT")
Change = Callable[[sqlite3.Connection], ResultT]

_BATCH: Final = 512
_READERS: Final = 2
_CHECKED_BYTES: Final = 64 * 2**20
_BUSY_MS: Final = 5000


@dataclass(slots=True)
class _Waiting(Generic[ResultT]):
    change: Change[ResultT]
    future: asyncio.Future[ResultT] | None
    result: ResultT | None = None
    error: Exception | None = None


class Database:
    """The store's file; `write` from the event loop, `read` too."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: queue.SimpleQueue[_Waiting[Any] | None] = queue.SimpleQueue()
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="graphcore-reader")
        self._local = threading.local()
        self._open_readers: list[sqlite3.Connection] = []
        self._writer = threading.Thread(target=self._write_all, name="graphcore-writer", daemon=True)
        self._connection: sqlite3.Connection | None = None
        self.commits = 0
        self.changes = 0

    def open(self) -> None:
        """Open the file, bring it up to date and start the writer; raises StartError with what to do.

        To be called on the event loop's thread.
        """
        self._loop = asyncio.get_running_loop()
        try:
            self._connection = _connect(self.path)
            _check(self._connection, self.path)
            migrate(self._connection)
        except (sqlite3.Error, OSError) as error:
            if self._connection is not None:
                self._connection.close()
            raise StartError(_start_sentence(self.path, error), code=_code(error)) from error
        except StartError:
            if self._connection is not None:
                self._connection.close()
            raise
        self._writer.start()

    async def close(self) -> None:
        """Write what waits, then close."""
        self._waiting.put(None)
        if self._writer.is_alive():
            await asyncio.to_thread(self._writer.join)
        await asyncio.to_thread(self._readers.shutdown)
        for reader in self._open_readers:
            reader.close()
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self._connection.close()

    def write(self, change: Change[ResultT]) -> asyncio.Future[ResultT]:
        """Make a change durable; the future is done when it is. Changes happen in the order of the calls."""
        assert self._loop is not None
        future: asyncio.Future[ResultT] = self._loop.create_future()
        self._waiting.put(_Waiting(change, future))
        return future

    async def read(self, query: Callable[[sqlite3.Connection], ResultT]) -> ResultT:
        """Run a query on a reader's connection, off the loop."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._readers, self._read, query)

    def _read(self, query: Callable[[sqlite3.Connection], ResultT]) -> ResultT:
        reader: sqlite3.Connection | None = getattr(self._local, "connection", None)
        try:
            if reader is None:
                reader = sqlite3.connect(
                    f"{self.path.absolute().as_uri()}?mode=ro",
                    uri=True,
                    isolation_level=None,
                    check_same_thread=False,
                )
                reader.execute("PRAGMA query_only=ON")
                reader.execute(f"PRAGMA busy_timeout={_BUSY_MS}")
                self._local.connection = reader
                self._open_readers.append(reader)
            return query(reader)
        except sqlite3.Error as error:
            raise store_error(error) from error

    def _write_all(self) -> None:
        while True:
            first = self._waiting.get()
            if first is None:
                return
            batch = [first]
            ended = False
            while len(batch) < _BATCH:
                try:
                    more = self._waiting.get_nowait()
                except queue.Empty:
                    break
                if more is None:
                    ended = True
                    break
                batch.append(more)
            self._commit(batch)
            assert self._loop is not None
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(_tell, batch)
            if ended:
                return

    def _commit(self, batch: list[_Waiting[Any]]) -> None:
        connection = self._connection
        assert connection is not None
        try:
            connection.execute("BEGIN IMMEDIATE")
            for waiting in batch:
                _apply(connection, waiting)
            connection.execute("COMMIT")
            self.commits += 1
            self.changes += len(batch)
        except sqlite3.Error as error:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            for waiting in batch:
                waiting.error = store_error(error)


def _apply(connection: sqlite3.Connection, waiting: _Waiting[Any]) -> None:
    connection.execute("SAVEPOINT change")
    try:
        waiting.result = waiting.change(connection)
    except sqlite3.OperationalError:
        raise
    except Exception as error:  # noqa: BLE001 - told to the caller; the other changes go on
        connection.execute("ROLLBACK TO change")
        waiting.error = store_error(error) if isinstance(error, sqlite3.DatabaseError) else error
    connection.execute("RELEASE change")


def _tell(batch: list[_Waiting[Any]]) -> None:
    for waiting in batch:
        future = waiting.future
        if future is None or future.done():
            continue
        if waiting.error is not None:
            future.set_exception(waiting.error)
        else:
            future.set_result(waiting.result)


def _connect(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=256)
    connection.execute(f"PRAGMA busy_timeout={_BUSY_MS}")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute("PRAGMA secure_delete=ON")
    connection.execute("PRAGMA journal_size_limit=67108864")
    return connection


def _check(connection: sqlite3.Connection, path: Path) -> None:
    if path.stat().st_size > _CHECKED_BYTES:
        return
    found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise sqlite3.DatabaseError(f"malformed: {found}")


def store_error(error: Exception) -> StoreError:
    """The error that callers are told for what SQLite says."""
    sentences = {
        DISK_FULL: "The disk is full, so nothing can be stored; free some space and send the request again.",
        READ_ONLY: "The data folder is read-only, so nothing can be stored; make it writable.",
        DAMAGED: "The database is damaged; stop the server and restore the file from a backup.",
    }
    code = _code(error)
    status = 507 if code == DISK_FULL else 503
    return StoreError(
        sentences.get(code, "The store is not available; look into the server's log."),
        code=code,
        status=status,
    )


def _code(error: Exception) -> str:
    text = str(error).lower()
    if "full" in text or "no space" in text or "disk i/o" in text:
        return DISK_FULL
    if "readonly" in text or "read-only" in text or "permission denied" in text or "unable to open" in text:
        return READ_ONLY
    if "malformed" in text or "not a database" in text or "corrupt" in text:
        return DAMAGED
    return "store"


def _start_sentence(path: Path, error: Exception) -> str:
    code = _code(error)
    if code == DAMAGED:
        return (
            f"The database {path} is damaged ({error}). It was left as it is: restore it from a backup, or move it "
            "away to start with an empty one."
        )
    if code == READ_ONLY:
        return f"The database {path} cannot be written ({error}); make its folder writable, or use another --data-dir."
    if code == DISK_FULL:
        return f"The disk that holds {path} is full or failing ({error}); free some space."
    return f"The database {path} cannot be opened ({error})."
