"""What one run computes for all: its flights in this process, and its claims among processes."""

from __future__ import annotations

from typing import Final

from graphcore.cache.claims import FREE, Claim
from graphcore.cache.entry import Cache
from graphcore.flights import Flights
from graphcore.keys import Key
from graphcore.spec import NodeSpec

_MOST_CLAIMS: Final = 64


class ExclusiveWork:
    """The keys that a run computes while others wait for it.

    A claim holds a file open. A run has a few at a time; nodes that wait for their expansions beyond that go unclaimed,
    which at worst computes something twice.
    """

    def __init__(self, flights: Flights, cache: Cache) -> None:
        self._flights = flights
        self._cache = cache
        self._boarded: set[Key] = set()
        self._claims: dict[int, Claim] = {}

    def claim(self, index: int, key: Key, spec: NodeSpec) -> bool:
        """Claim a key for node `index` among processes; False while another one has it."""
        if len(self._claims) >= _MOST_CLAIMS:
            return True
        claim = self._cache.claim(key, spec)
        if claim is None:
            return False
        if claim is not FREE:
            self._claims[index] = claim
        return True

    def board(self, key: Key) -> None:
        """Let other runs of this process wait for a key, from now until `end`."""
        if key not in self._boarded:
            self._flights.board(key)
            self._boarded.add(key)

    def end(self, index: int, key: Key) -> None:
        """The work on a key has ended, however it did."""
        if key in self._boarded:
            self._boarded.discard(key)
            self._flights.land(key)
        self._flights.ended += 1
        if self._claims:
            claim = self._claims.pop(index, None)
            if claim is not None:
                claim.release()

    def end_all(self) -> None:
        """The run is over: nobody waits for it in vain."""
        for key in list(self._boarded):
            self._flights.land(key)
        self._boarded.clear()
        for claim in self._claims.values():
            claim.release()
        self._claims.clear()
