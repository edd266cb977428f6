"""A run as a stream of numbered, typed events. Progress bars, logs, servers and records are readers of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from enum import Enum
from typing import ClassVar

from graphcore.context import Preview


class RunState(Enum):
    """How a run stands."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(slots=True)
class Event:
    """Base of all events: `number` counts from 0 within a run, `time` is seconds since the epoch.

    Events are not to be changed. They are not frozen, as two are made for each node, and frozen ones cost thrice
    as much.
    """

    kind: ClassVar[str] = "event"
    number: int
    time: float

    def as_json(self) -> dict[str, object]:
        """The event as plain JSON."""
        return {"event": self.kind, **{name: _plain(getattr(self, name)) for name in _names(type(self))}}


@dataclass(slots=True)
class RunStarted(Event):
    """The run has begun; `nodes` are those it may have to run."""

    kind: ClassVar[str] = "run-started"
    run_id: str
    nodes: int


@dataclass(slots=True)
class NodesCached(Event):
    """These nodes' results are there already; `used` are those that the run takes from the cache."""

    kind: ClassVar[str] = "nodes-cached"
    nodes: tuple[str, ...]
    used: tuple[str, ...]


@dataclass(slots=True)
class NodeStarted(Event):
    """A node has begun."""

    kind: ClassVar[str] = "node-started"
    node: str
    type: str


@dataclass(slots=True)
class NodeProgress(Event):
    """A node has done `done` of `total` steps; `preview` is a picture of what it makes, where previews are on."""

    kind: ClassVar[str] = "node-progress"
    node: str
    done: int
    total: int
    preview: Preview | None


@dataclass(slots=True)
class NodeExpanded(Event):
    """A node has put a sub-graph in its place; `stands_for` names nodes that are shown as another one."""

    kind: ClassVar[str] = "node-expanded"
    node: str
    nodes: tuple[str, ...]
    stands_for: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class NodeFinished(Event):
    """A node is done; `shown` is what it shows to people (saved pictures, text). `cached` if nothing was run."""

    kind: ClassVar[str] = "node-finished"
    node: str
    seconds: float
    shown: tuple[Mapping[str, object], ...]
    cached: bool


@dataclass(slots=True)
class NodeFailed(Event):
    """A node failed; `error` is the error's JSON form, `traceback` is for logs."""

    kind: ClassVar[str] = "node-failed"
    node: str
    type: str
    error: Mapping[str, object]
    traceback: str


@dataclass(slots=True)
class NodeSkipped(Event):
    """A node was not run: something before it failed, or its input was blocked."""

    kind: ClassVar[str] = "node-skipped"
    node: str
    reason: str


@dataclass(slots=True)
class NodeBlocked(Event):
    """A blocker with a message stopped a node, or some of the items that it is run for."""

    kind: ClassVar[str] = "node-blocked"
    node: str
    type: str
    message: str


@dataclass(slots=True)
class RunFinished(Event):
    """The run has ended; the last event of each run."""

    kind: ClassVar[str] = "run-finished"
    state: RunState
    seconds: float
    error: Mapping[str, object] | None


Listener = Callable[[Event], None]


def _names(kind: type[Event]) -> tuple[str, ...]:
    return tuple(entry.name for entry in fields(kind))


def _plain(value: object) -> object:
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Preview):
        return {"media_type": value.media_type, "width": value.width, "height": value.height}
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    return str(value)
