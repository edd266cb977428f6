"""Gives waiting runs to workers, and brings back what the workers say: durable first, told afterwards."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

from server.background import Background
from server.errors import ServerError
from server.hub import Hub
from server.ledger import Ledger
from server.queue import OpenRun, RunQueue
from server.records import State
from server.slot import Patience, Slot
from server.store.database import Database
from server.workers.interface import Worker

MAX_INTERRUPTIONS: Final = 100


class Dispatcher:
    """Keeps the workers busy, each in a slot of its own."""

    def __init__(
        self,
        *,
        database: Database,
        queue: RunQueue,
        hub: Hub,
        workers: Sequence[Worker],
        patience: Patience | None = None,
    ) -> None:
        self._queue = queue
        self._open = asyncio.Event()
        self._stopping = False
        self._changed = asyncio.Event()
        self._tasks, self._endings = Background(self._changed), Background(self._changed)
        self._ledger = Ledger(database=database, queue=queue, hub=hub, settled=self._changed)
        self.slots = [
            Slot(
                worker,
                queue=queue,
                ledger=self._ledger,
                tasks=self._tasks,
                endings=self._endings,
                patience=patience or Patience(),
                alone=len(workers) == 1,
            )
            for worker in workers
        ]

    @property
    def paused(self) -> bool:
        """Whether no more runs are started for now."""
        return not self._open.is_set()

    @property
    def finished(self) -> Mapping[State, int]:
        """How many runs have ended since the start, by state."""
        return self._ledger.finished

    def start(self) -> None:
        """Start the workers and give them runs."""
        self._open.set()
        for slot in self.slots:
            self._tasks.spawn(slot.tend())
            self._tasks.spawn(slot.feed(self._open))

    def pause(self) -> None:
        """Give out no more runs; those under way go on."""
        self._open.clear()

    def resume(self) -> None:
        """Give out runs again."""
        if not self._stopping:
            self._open.set()

    async def stop(self, grace_s: float) -> int:
        """Let what is under way end within a grace time, return the rest to the queue, end the workers.

        Returns how many runs went back to the queue.
        """
        self._stopping = self._ledger.closing = True
        self._open.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                while self._endings or any(slot.held for slot in self.slots):
                    self._changed.clear()
                    await self._changed.wait()
        await self._tasks.end()
        await self._endings.settle()
        await asyncio.gather(*(slot.worker.stop() for slot in self.slots))
        left = [run for slot in self.slots for run in slot.held.values()]
        for run in left:
            await self._ledger.give_back(run, lost=False, reason="the server is stopping")
        return len(left)

    async def cancel(self, run: OpenRun, reason: str) -> None:
        """Cancel a run: at once if no worker has begun it, else within a step.

        A worker that does not heed a cancellation within the grace time is ended. Raises StoreError.
        """
        run.cancel_reason = reason
        if run.begun:
            for slot in self.slots:
                slot.ask_to_stop(run)
            return
        try:
            ended = await self._ledger.cancel(run, reason)
        except ServerError:
            run.cancel_reason = None
            if not run.taken:
                self._queue.offer(run)
            raise
        if ended:
            for slot in self.slots:
                slot.drop(run, reason)

    async def plan(
        self, document: bytes, inputs: Mapping[str, Any], targets: tuple[str, ...] | None
    ) -> Mapping[str, Any]:
        """What a run would do, by a worker that is ready; raises ServerError if none answers."""
        for slot in self.slots:
            if slot.ready:
                plan = await slot.worker.plan(document, inputs, targets)
                if plan is not None and "error" in plan:
                    error = plan["error"]
                    raise ServerError(error["message"], code=error["code"], status=422)
                if plan is not None:
                    return plan
        raise ServerError(
            "No worker is ready to plan this; try again in a moment.",
            code="no-worker",
            status=503,
            retry_after=2,
        )

    def free(self, *, models: bool, results: bool) -> None:
        """Ask all workers to let go of models or cached results."""
        for slot in self.slots:
            slot.worker.free(models=models, results=results)
