"""The runs that have not ended, in memory: those that wait, in order, and those under way."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from heapq import heappop, heappush
from typing import Final

from server.records import Progress, RunRecord, RunRequest, State

_HELD_BYTES: Final = 64 * 2**20
_HELD_EACH: Final = 256 * 1024


@dataclass(slots=True, eq=False)
class OpenRun:
    """A run that has not ended.

    `request` is kept while there is room for it. `next_event` is the number of its next event. A run is `taken` when it
    has been given to a worker, which may still be busy with another; it is running once the worker has begun it.
    `ended` is set when its end is durable.
    """

    record: RunRecord
    request: RunRequest | None
    next_event: int
    held_bytes: int = 0
    taken: bool = False
    cancel_reason: str | None = None
    progress: dict[str, Progress] = field(default_factory=dict)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def begun(self) -> bool:
        """Whether a worker has started the run."""
        return self.record.state is State.RUNNING

    @property
    def order(self) -> tuple[bool, int, float, int]:
        """What those that wait are sorted by: taken ones first, then the greater priority, then the position."""
        return (not self.taken, -self.record.priority, self.record.position, self.record.seq)


class RunQueue:
    """All open runs by id, and the order in which those that wait are taken."""

    def __init__(self) -> None:
        self._open: dict[str, OpenRun] = {}
        self._heap: list[tuple[tuple[bool, int, float, int], str]] = []
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
        """The open run with this id, or None."""
        return self._open.get(run_id)

    def add(self, run: OpenRun) -> None:
        """Put a run that has become durable into its place."""
        self._open[run.record.id] = run
        owner = run.record.principal
        self._by_principal[owner] = self._by_principal.get(owner, 0) + 1
        self._waiting += 1
        size = len(run.request.document) if run.request is not None else 0
        if size > _HELD_EACH or self._held + size > _HELD_BYTES:
            run.request = None
        else:
            run.held_bytes = size
            self._held += size
        self.offer(run)

    def offer(self, run: OpenRun) -> None:
        """Let a run be taken (again)."""
        if run.begun:
            self._waiting += 1
        run.taken = False
        run.record = replace(run.record, state=State.QUEUED)
        heappush(self._heap, (run.order, run.record.id))
        self.changed.set()

    def take(self) -> OpenRun | None:
        """The run to go next, in a new attempt, or None."""
        while self._heap:
            _, run_id = heappop(self._heap)
            run = self._open.get(run_id)
            if run is not None and not run.taken and not run.begun and run.cancel_reason is None:
                run.taken = True
                run.record = replace(run.record, attempt=run.record.attempt + 1)
                return run
        return None

    def begin(self, run: OpenRun) -> None:
        """Note that a worker has begun a run."""
        if not run.begun:
            self._waiting -= 1
            run.record = replace(run.record, state=State.RUNNING)

    def remove(self, run: OpenRun) -> None:
        """Forget a run; it has not ended yet in its record."""
        if self._open.pop(run.record.id, None) is None:
            return
        if not run.begun:
            self._waiting -= 1
        owner = run.record.principal
        self._by_principal[owner] -= 1
        if not self._by_principal[owner]:
            del self._by_principal[owner]
        self._held -= run.held_bytes

    def in_order(self) -> list[OpenRun]:
        """Those that wait, in the order in which they will go."""
        return sorted((run for run in self._open.values() if not run.begun), key=lambda run: run.order)

    def running(self) -> list[OpenRun]:
        """Those under way, in the order in which they were submitted."""
        return sorted((run for run in self._open.values() if run.begun), key=lambda run: run.record.seq)
