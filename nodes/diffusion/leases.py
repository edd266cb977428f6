"""A bounded cache of large things that are in use or not: leased while used, least recently used out first.

What is leased is never dropped, so the budget may be exceeded by what is in use at once. Equal things are made once,
also when several threads ask for them at the same time.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

ValueT = TypeVar("ValueT")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Made(Generic[ValueT]):
    """Something new for the cache: its value, and its size in bytes.

    What it shares with the thing of key `parent` is not counted; the parent stays as long as it does.
    """

    value: ValueT
    bytes: int
    parent: Hashable = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a cache holds: bytes in all, bytes leased, and how many things."""

    bytes: int
    leased_bytes: int
    entries: int


@dataclass(slots=True, eq=False)
class _Entry:
    made: Made[Any] | None = None
    leases: int = 1
    used: float = 0.0
    children: int = 0


class LeaseCache:
    """Values by key, within `budget_bytes`. After `idle_s` seconds without use they are released."""

    def __init__(
        self, *, budget_bytes: int, idle_s: float | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.budget_bytes = budget_bytes
        self.idle_s = idle_s
        self._clock = clock
        self._entries: dict[Hashable, _Entry] = {}
        self._changed = threading.Condition(threading.RLock())
        self._timer: threading.Timer | None = None

    @contextmanager
    def lease(
        self, key: Hashable, make: Callable[[], Made[ValueT]], *, expected_bytes: int = 0
    ) -> Iterator[ValueT]:
        """The value of `key`, made if it is not there, kept while the block runs.

        Room for `expected_bytes` is made before `make` is called. What `make` raises is raised here, and the next
        to ask tries again.
        """
        entry = self._take(key, expected_bytes)
        try:
            if entry.made is None:
                self._fill(key, entry, make)
            yield self._value(entry)
        finally:
            self._give_back(entry)

    def usage(self) -> Usage:
        """What is held now."""
        with self._changed:
            made = [entry for entry in self._entries.values() if entry.made is not None]
            return Usage(
                bytes=sum(_size(entry) for entry in made),
                leased_bytes=sum(_size(entry) for entry in made if entry.leases),
                entries=len(made),
            )

    def release(self, *, idle_for: float = 0.0) -> int:
        """Drop what nobody leases and nobody used for `idle_for` seconds; the bytes dropped."""
        with self._changed:
            now = self._clock()
            dropped = 0
            while old := [key for key, each in self._entries.items() if _idle(each, now, idle_for)]:
                dropped += sum(self._drop(key) for key in old)
            return dropped

    def close(self) -> None:
        """Drop all that nobody leases, and stop waiting for idle things."""
        with self._changed:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
        self.release()

    def _take(self, key: Hashable, expected_bytes: int) -> _Entry:
        with self._changed:
            while True:
                entry = self._entries.get(key)
                if entry is None:
                    self._make_room(expected_bytes)
                    entry = self._entries[key] = _Entry()
                    return entry
                if entry.made is not None:
                    entry.leases += 1
                    return entry
                self._changed.wait()

    def _fill(self, key: Hashable, entry: _Entry, make: Callable[[], Made[Any]]) -> None:
        try:
            made = make()
        except BaseException:
            with self._changed:
                del self._entries[key]
                self._changed.notify_all()
            raise
        with self._changed:
            entry.made = made
            if made.parent is not None:
                self._entries[made.parent].children += 1
            self._make_room(0)
            self._changed.notify_all()

    def _value(self, entry: _Entry) -> Any:
        return entry.made.value if entry.made is not None else None

    def _give_back(self, entry: _Entry) -> None:
        with self._changed:
            entry.leases -= 1
            entry.used = self._clock()
            self._make_room(0)
            self._watch()

    def _make_room(self, extra: int) -> None:
        held = sum(_size(entry) for entry in self._entries.values()) + extra
        while held > self.budget_bytes:
            free = [(entry.used, key) for key, entry in self._entries.items() if _free(entry)]
            if not free:
                return
            held -= self._drop(min(free, key=lambda item: item[0])[1])

    def _drop(self, key: Hashable) -> int:
        entry = self._entries.pop(key)
        if entry.made is not None and entry.made.parent is not None:
            self._entries[entry.made.parent].children -= 1
        return _size(entry)

    def _watch(self) -> None:
        if self.idle_s is None or self._timer is not None or not self._entries:
            return
        self._timer = threading.Timer(self.idle_s, self._release_idle)
        self._timer.daemon = True
        self._timer.start()

    def _release_idle(self) -> None:
        with self._changed:
            self._timer = None
            self.release(idle_for=self.idle_s or 0.0)
            self._watch()


def _free(entry: _Entry) -> bool:
    return entry.made is not None and entry.leases == 0 and entry.children == 0


def _idle(entry: _Entry, now: float, idle_for: float) -> bool:
    return _free(entry) and now - entry.used >= idle_for


def _size(entry: _Entry) -> int:
    return entry.made.bytes if entry.made is not None else 0
