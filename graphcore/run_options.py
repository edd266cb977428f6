"""How a run is run, and what it uses."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from graphcore.cache.entry import Cache
from graphcore.context import Services
from graphcore.flights import Flights
from graphcore.limits import Limits
from graphcore.registry import Registry


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """How a run is run.

    `keep_going` lets other branches finish after a failure. `overrides` gives outputs of nodes by hand: node id to
    output name to value. `previews` asks samplers for pictures of what they make. `metadata` is written into
    pictures. `detect_mutation` checks after each node that it left its inputs as they were, which takes time.
    """

    keep_going: bool = True
    overrides: Mapping[str, Mapping[str, object]] | None = None
    previews: bool = False
    metadata: Mapping[str, object] | None = None
    detect_mutation: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RunHouse:
    """What a run uses and does not own."""

    registry: Registry
    services: Services
    cache: Cache
    flights: Flights
    pool: ThreadPoolExecutor
    limits: Limits
