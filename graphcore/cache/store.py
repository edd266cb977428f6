"""The persistent store: results that survive a restart, on disk, bounded, safe for several processes at once.

A result is one file, named by its key and the environment that it was made in, written aside and renamed. Files prove
themselves (see `blob`), so a torn, flipped, swapped or foreign one is a miss and a warning. The index serves accounts
and eviction; without it the store still answers. No failure of disk or index ever fails a run.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import sqlite3
import threading
import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Final

from graphcore.cache.blob import pack, read_header, unpack
from graphcore.cache.claims import FREE, Claim, claim_file
from graphcore.cache.codec import Codecs
from graphcore.cache.entry import CacheEntry, NodeRun
from graphcore.cache.index import PastNode, StoreIndex, Timing
from graphcore.errors import CacheError
from graphcore.keys import Key, encode
from graphcore.spec import NodeSpec

_LOG: Final = logging.getLogger("graphcore.cache")
_BACKLOG_BYTES: Final = 512 * 2**20
_CLAIM_SECONDS: Final = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreInfo:
    """What a store holds: entries, bytes, the budget, and per node type entries, bytes and seconds saved."""

    path: str
    entries: int
    size: int
    budget: int
    types: tuple[tuple[str, int, int, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreCheck:
    """What a look at every stored file found."""

    good: int
    damaged: tuple[str, ...]
    unlisted: int
    missing: int


@dataclass(slots=True, eq=False)
class _Pending:
    name: str
    node_type: str
    entry: CacheEntry


class DiskStore:
    """Results in a folder, at most `budget` bytes of them.

    `environment` is what can change results between machines and processes (versions, device kind, dtype); it enters
    the name of each entry. Results that took less than `min_seconds` are not kept. Writing happens on a thread of
    its own.
    """

    def __init__(
        self,
        folder: Path,
        *,
        codecs: Codecs | None = None,
        environment: Mapping[str, str] | None = None,
        budget: int = 20 * 2**30,
        min_seconds: float = 0.001,
    ) -> None:
        self.folder = folder
        self.budget = budget
        self.min_seconds = min_seconds
        self._codecs = codecs or Codecs()
        self._environment = encode(dict(sorted((environment or {}).items())))
        self._index = StoreIndex(folder / "index.sqlite3")
        self._queue: SimpleQueue[_Pending | None] = SimpleQueue()
        self._backlog = 0
        self._pending: dict[str, CacheEntry] = {}
        self._writer: threading.Thread | None = None
        self._lock = threading.Lock()
        self._warned: set[str] = set()
        self._speeds: dict[str, float] = {}

    # ------------------------------------------------------------------ the cache

    def name(self, key: Key) -> str:
        """The name of a key's entry in this environment."""
        return hashlib.sha256(key + self._environment).hexdigest()

    def get(self, key: Key, spec: NodeSpec) -> CacheEntry | None:
        """The stored entry of a key, or None; a file that does not prove itself is removed and is a miss."""
        if spec.output:
            return None
        name = self.name(key)
        waiting = self._pending.get(name)
        if waiting is not None:
            return waiting
        path = self._path(name)
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            self._warn("read", f"cannot be read ({error.strerror or error})")
            return None
        try:
            entry = unpack(data, name, self._codecs)
        except CacheError as error:
            _LOG.warning("The stored result %s… is dropped: %s", name[:12], error.message)
            self._drop([name])
            return None
        with self._guarded("index"):
            self._index.touch(name)
        return entry

    def put(self, key: Key, spec: NodeSpec, entry: CacheEntry) -> None:
        """Hand an entry to the writer; dropped if it is not worth keeping or too much is waiting."""
        self._speeds[spec.name] = entry.seconds
        if spec.output or entry.seconds < self.min_seconds or entry.size > self.budget // 4:
            return
        with self._lock:
            if self._backlog + entry.size > _BACKLOG_BYTES:
                return
            if self._writer is None:
                self._writer = threading.Thread(target=self._write_all, name="graphcore-store", daemon=True)
                self._writer.start()
            self._backlog += entry.size
            name = self.name(key)
            self._pending[name] = entry
            self._queue.put(_Pending(name, spec.name, entry))

    def known(self, keys: Collection[Key]) -> set[Key]:
        """Which of these keys the store holds, as the index has it."""
        names = {self.name(key): key for key in keys}
        found: set[str] = set()
        with self._guarded("index"):
            if self._index.path.exists():
                found = self._index.held(names)
        return {names[name] for name in found} | {key for name, key in names.items() if name in self._pending}

    def begin_run(self, keys: Collection[Key]) -> None:
        return None

    def clear(self) -> None:
        """Remove every entry."""
        for path in self._files():
            with contextlib.suppress(OSError):
                path.unlink()
        with self._guarded("index"):
            self._index.clear()

    def flush(self) -> None:
        """Wait until all that was put is written."""
        with self._lock:
            writer, self._writer = self._writer, None
        if writer is not None:
            self._queue.put(None)
            writer.join()

    def close(self) -> None:
        """Write what is waiting and close the index."""
        self.flush()
        self._index.close()

    # ------------------------------------------------------------------ writing

    def _write_all(self) -> None:
        while True:
            item = self._queue.get()
            if item is None:
                return
            try:
                self._write(item)
            except Exception as error:  # noqa: BLE001 - a broken codec or disk must not end the writer
                self._warn("write", f"cannot keep results ({error})")
            finally:
                with self._lock:
                    self._backlog -= item.entry.size
                    self._pending.pop(item.name, None)

    def _write(self, item: _Pending) -> None:
        data = pack(item.name, item.entry, self._codecs)
        if data is None:
            return
        path = self._path(item.name)
        aside = path.with_name(f".{item.name}.{uuid.uuid4().hex}.part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            aside.write_bytes(data)
            aside.replace(path)
        except OSError as error:
            with contextlib.suppress(OSError):
                aside.unlink()
            self._warn("write", f"cannot keep results ({error.strerror or error})")
            return
        with self._guarded("index"):
            self._index.add(item.name, item.node_type, len(data), item.entry.seconds)
            _, size = self._index.total()
            if size > self.budget:
                self._drop(self._index.least_worth(size - self.budget * 9 // 10))

    def _drop(self, names: Iterable[str]) -> None:
        names = list(names)
        for name in names:
            with contextlib.suppress(OSError):
                self._path(name).unlink()
        with self._guarded("index"):
            self._index.remove(names)

    def _path(self, name: str) -> Path:
        return self.folder / "blobs" / name[:2] / f"{name}.gcb"

    def _files(self) -> Iterator[Path]:
        return (self.folder / "blobs").glob("*/*.gcb")

    def _guarded(self, what: str) -> _Guard:
        return _Guard(self, what)

    def _failed(self, what: str, error: BaseException) -> bool:
        """Deal with a failure of index or disk; False for anything else."""
        if isinstance(error, sqlite3.DatabaseError):
            self._warn(what, f"has a broken index ({error})")
            if not isinstance(error, sqlite3.OperationalError):
                self._rebuild()
            return True
        if isinstance(error, OSError):
            self._warn(what, f"cannot be used ({error.strerror or error})")
            return True
        return False

    def _rebuild(self) -> None:
        """Set a broken index aside; the next one begins empty, and `verify` lists the files again."""
        self._index.close()
        for suffix in ("", "-wal", "-shm"):
            with contextlib.suppress(OSError):
                broken = self._index.path.with_name(self._index.path.name + suffix)
                broken.replace(broken.with_name(f"broken-{broken.name}"))

    def _warn(self, what: str, sentence: str) -> None:
        if what not in self._warned:
            self._warned.add(what)
            _LOG.warning("The result store %s %s; runs go on without it.", self.folder, sentence)

    # ------------------------------------------------------------------ what was before

    def remember(self, runs: Iterable[NodeRun]) -> None:
        """Note how the nodes of a run came out."""
        with self._guarded("index"):
            self._index.remember(runs)

    def timing(self, node_type: str, work: str) -> Timing | None:
        """What this work has cost before, or None."""
        with self._guarded("index"):
            return self._index.timing(node_type, work) if self._index.path.exists() else None
        return None

    def past(self, node: str, node_type: str) -> PastNode | None:
        """A node as it was last run, or None."""
        with self._guarded("index"):
            return self._index.past(node, node_type) if self._index.path.exists() else None
        return None

    def was_seen(self, key: Key) -> bool:
        """True if this key's result was stored at some time."""
        name = self.name(key)
        with self._guarded("index"):
            return self._index.path.exists() and bool(self._index.was_seen([name]))
        return False

    # ------------------------------------------------------------------ one process at a time

    def claim(self, key: Key, spec: NodeSpec) -> Claim | None:
        """The right to compute this key, or None while another process has it.

        Work that is known to be quick is not worth a claim and always granted.
        """
        if spec.output or self._speeds.get(spec.name, 1.0) < _CLAIM_SECONDS:
            return FREE
        return claim_file(self.folder / "locks" / f"{self.name(key)}.lock")

    # ------------------------------------------------------------------ for people

    def info(self) -> StoreInfo:
        """What the store holds."""
        entries, size, types = 0, 0, ()
        with self._guarded("index"):
            if self._index.path.exists():
                entries, size = self._index.total()
                types = tuple(self._index.by_type())  # type: ignore[assignment]
        return StoreInfo(path=str(self.folder), entries=entries, size=size, budget=self.budget, types=types)

    def verify(self) -> StoreCheck:
        """Look at every file: drop the damaged, list the unlisted, forget the missing."""
        good: set[str] = set()
        damaged: list[str] = []
        listed = set(self._index.all_entries())
        unlisted = 0
        for path in self._files():
            name = path.stem
            try:
                data = path.read_bytes()
                header, _ = read_header(data)
                if header.get("name") != name:
                    raise CacheError("The stored entry belongs to another key.", code="foreign-entry")
            except (CacheError, OSError):
                damaged.append(name)
                continue
            good.add(name)
            if name not in listed:
                unlisted += 1
                self._index.add(name, "", len(data), float(str(header.get("seconds", 0.0))))
        missing = listed - good - set(damaged)
        self._drop([*damaged, *missing])
        return StoreCheck(good=len(good), damaged=tuple(damaged), unlisted=unlisted, missing=len(missing))


class _Guard:
    """Work on the index that may fail without harm."""

    def __init__(self, store: DiskStore, what: str) -> None:
        self._store = store
        self._what = what

    def __enter__(self) -> None:
        with contextlib.suppress(OSError):
            self._store.folder.mkdir(parents=True, exist_ok=True)

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        return error is not None and self._store._failed(self._what, error)
