"""Single-flight: equal work that is under way is waited for, not done twice, across the runs of a process."""

from __future__ import annotations

import asyncio
import threading

from graphcore.keys import Key


class Flight:
    """A computation under way; waiters are woken when it ends, however it ends."""

    __slots__ = ("_done", "_lock", "_waiters")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._done = False
        self._waiters: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = []

    async def wait(self) -> None:
        """Wait for the end."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        with self._lock:
            if self._done:
                return
            self._waiters.append((loop, future))
        await future

    def land(self) -> None:
        """Wake all who wait."""
        with self._lock:
            self._done = True
            waiters = self._waiters
        for loop, future in waiters:
            loop.call_soon_threadsafe(_wake, future)


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


class Flights:
    """All computations under way, by key. `landed` counts those that have ended."""

    def __init__(self) -> None:
        self._flights: dict[Key, Flight] = {}
        self.landed = 0

    def board(self, key: Key) -> Flight | None:
        """None if the caller is the one to compute this key, else the flight to wait for."""
        mine = Flight()
        found = self._flights.setdefault(key, mine)
        return None if found is mine else found

    def land(self, key: Key) -> None:
        """The computation of this key has ended."""
        flight = self._flights.pop(key, None)
        self.landed += 1
        if flight is not None:
            flight.land()
