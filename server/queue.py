"""The runs that have not ended, in memory: those that wait, in order, and those under way."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from heapq import heappop, heappush
from typing import Final

from server.records import Progress, RunRecord, RunRequest, State

_HELD_BYTES: Final = 64 * 2**20
_HELD_EACH: Final = 256 * 1024


@dataclass(slots=True, eq=False)
class OpenRun:
    """A run that has not ended.

    `request` is kept while there is room for it. `next_event` is the number of its next event. `begun` is true once
    its worker has begun this attempt. `ended` is set when its end is durable.
    """

    record: RunRecord
    request: RunRequest | None
    next_event: int
    held_bytes: int = 0
    begun: bool = False
    cancel_reason: str | None = None
    progress: dict[str, Progress] = field(default_factory=dict)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def order(self) -> tuple[int, float, int]:
        """What runs are sorted by: the greater priority first, then the position."""
        return (-self.record.priority, self.record.position, self.record.seq)


class RunQueue:
    """All open runs by id, and the order in which those that wait are taken."""

    def __init__(self) -> None:
        self._open: dict[str, OpenRun] = {}
        self._heap: list[tuple[tuple[int, float, int], str]] = []
        self._by_principal: dict[str, int] = {}
        self._waiting = 0
        self._held = 0
        self.changed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._open)

    @property
    def waiting(self) -> int:
        """How many runs wait."""
        return self._waiting

    def of_principal(self, principal: str) -> int:
        """How many open runs a principal has."""
        return self._by_principal.get(principal, 0)

    def get(self, run_id: str) -> OpenRun | None:
        return self._open.get(run_id)

    def add(self, run: OpenRun) -> None:
        """Put a run that has become durable into its place."""
        self._open[run.record.id] = run
        owner = run.record.principal
        self._by_principal[owner] = self._by_principal.get(owner, 0) + 1
        size = len(run.request.document) if run.request is not None else 0
        if size > _HELD_EACH or self._held + size > _HELD_BYTES:
            run.request = None
        else:
            run.held_bytes = size
            self._held += size
        self.wait(run)

    def wait(self, run: OpenRun) -> None:
        """Let a run wait (again)."""
        run.record = replace(run.record, state=State.QUEUED)
        self._waiting += 1
        heappush(self._heap, (run.order, run.record.id))
        self.changed.set()

    def take(self) -> OpenRun | None:
        """The run to go next, or None; it is running from now on, in a new attempt."""
        while self._heap:
            _, run_id = heappop(self._heap)
            run = self._open.get(run_id)
            if run is not None and run.record.state is State.QUEUED and run.cancel_reason is None:
                self._waiting -= 1
                run.record = replace(run.record, state=State.RUNNING, attempt=run.record.attempt + 1)
                run.begun = False
                return run
        return None

    def left(self, run: OpenRun) -> None:
        """Note that a waiting run was cancelled."""
        self._waiting -= 1

    def remove(self, run: OpenRun) -> None:
        """Forget a run that has ended."""
        if self._open.pop(run.record.id, None) is None:
            return
        owner = run.record.principal
        self._by_principal[owner] -= 1
        if not self._by_principal[owner]:
            del self._by_principal[owner]
        self._held -= run.held_bytes

    def in_order(self) -> Iterator[OpenRun]:
        """Those that wait, in the order in which they will go."""
        waiting = [run for run in self._open.values() if run.record.state is State.QUEUED]
        return iter(sorted(waiting, key=lambda run: run.order))

    def running(self) -> list[OpenRun]:
        """Those under way, in the order in which they were submitted."""
        found = [run for run in self._open.values() if run.record.state is State.RUNNING]
        return sorted(found, key=lambda run: run.record.seq)
