"""What a run does beside its own walk: tasks on its loop, and what wakes it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

from graphcore.context import CancelToken
from graphcore.errors import Cancelled


class Tasks:
    """The tasks of one run, those that are `running`, and whether it is `over`.

    `crashed` is told of what they raise that no node is to blame for.
    """

    def __init__(self, token: CancelToken, crashed: Callable[[Exception], None]) -> None:
        self.over = False
        self._token = token
        self._crashed = crashed
        self.running: set[asyncio.Task[None]] = set()
        self._wake: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = 0

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop of the run, once it has begun."""
        assert self._loop is not None
        return self._loop

    def begin(self) -> None:
        """From here on the run lives on the loop and in the thread of the caller."""
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._wake = asyncio.Event()
        self._token.on_cancel(self._cancelled)

    def spawn(self, work: Awaitable[None]) -> None:
        """Let work go on beside the run, which is woken when it ends."""
        task = self.loop.create_task(self._watched(work))
        self.running.add(task)
        task.add_done_callback(self._ended)

    def wake(self) -> None:
        """There may be something to do."""
        if self._wake is not None:
            self._wake.set()

    async def wait(self) -> None:
        """Wait until there may be something to do."""
        assert self._wake is not None
        await self._wake.wait()
        self._wake.clear()

    def on_loop(self, function: Callable[..., None], *arguments: Any) -> None:
        """Call a function on the run's loop, from any thread: at once from its own."""
        if threading.get_ident() == self._thread:
            function(*arguments)
        else:
            self.loop.call_soon_threadsafe(function, *arguments)

    async def stop(self) -> None:
        """Nothing of this run goes on."""
        self.over = True
        self._token.forget(self._cancelled)
        tasks = list(self.running)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _watched(self, work: Awaitable[None]) -> None:
        try:
            await work
        except Cancelled as error:
            self._token.cancel(error.reason)
        except Exception as error:  # noqa: BLE001 (whatever it is, the run tells it)
            self._crashed(error)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self.running.discard(task)
        self.wake()

    def _cancelled(self) -> None:
        try:
            self.loop.call_soon_threadsafe(self.wake)
        except RuntimeError:
            return
