"""Single-flight: equal work that is under way is waited for, not done twice, across the runs of an engine."""

from __future__ import annotations

import asyncio

from graphcore.keys import Key


class Flights:
    """The work under way on one lane, by key.

    `ended` counts all work that has ended. Work that ends without the lane's loop having had a turn needs no flight:
    nobody could have asked for it meanwhile.
    """

    def __init__(self) -> None:
        self._flights: dict[Key, list[asyncio.Future[None]]] = {}
        self.ended = 0

    def under_way(self, key: Key) -> bool:
        """True if somebody computes this key."""
        return key in self._flights

    def board(self, key: Key) -> None:
        """The caller computes this key."""
        self._flights[key] = []

    async def wait(self, key: Key) -> None:
        """Wait until the work on this key ends, however it ends."""
        waiters = self._flights.get(key)
        if waiters is not None:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            waiters.append(future)
            await future

    def land(self, key: Key) -> None:
        """The work on this key has ended."""
        for future in self._flights.pop(key, ()):
            if not future.done():
                future.set_result(None)
