"""What the server asks of a worker, and what it is told. Processes here are one kind; a cluster may be another."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """An attempt at a run, as a worker is given it."""

    run: str
    attempt: int
    document: bytes
    inputs: Mapping[str, Any]
    targets: tuple[str, ...] | None
    previews: bool
    keep_going: bool
    metadata: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """The worker takes tasks."""

    device: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A task has been begun; those given after it wait."""

    run: str
    attempt: int
    time: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Happened:
    """Events of an attempt, as JSON objects with an `event` and a `time`."""

    run: str
    attempt: int
    events: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Advanced:
    """A node's progress; with a picture if previews were asked for."""

    run: str
    attempt: int
    node: str
    done: int
    total: int
    media_type: str = ""
    preview: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """An attempt has ended: its state, its last event, its error, and the rest of its result."""

    run: str
    attempt: int
    state: str
    event: Mapping[str, Any]
    error: Mapping[str, Any] | None
    result: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """The worker cannot start; the message says why. It is gone after this."""

    message: str


WorkerMessage = Ready | Begun | Happened | Advanced | Done | Broken


class Worker(Protocol):
    """Takes tasks and runs them one after the other."""

    @property
    def name(self) -> str:
        """What the worker is called in logs and metrics (its device)."""
        ...

    async def start(self) -> None:
        """Start it; it may be started again after it is gone. Raises OSError if it cannot be."""
        ...

    def submit(self, task: Task) -> None:
        """Give it a task. Told to a worker that is gone, this does nothing: the end of `events` says so."""
        ...

    def events(self) -> AsyncIterator[WorkerMessage]:
        """What it has to say; ends when it is gone, for whatever reason."""
        ...

    def cancel(self, run: str, attempt: int, reason: str) -> None:
        """Ask it to stop an attempt, or not to begin it."""
        ...

    def free(self, *, models: bool, results: bool) -> None:
        """Ask it to let go of models or of cached results, after the present run."""
        ...

    async def plan(
        self, document: bytes, inputs: Mapping[str, Any], targets: tuple[str, ...] | None
    ) -> Mapping[str, Any] | None:
        """What a run would do, or an `error`; None if it does not answer in time."""
        ...

    async def memory(self) -> Mapping[str, Any]:
        """What it holds; empty if it does not answer in time."""
        ...

    async def stop(self) -> None:
        """End it now, whatever it does."""
        ...
