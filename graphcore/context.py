"""What a running node is given beside its inputs: progress, cancellation, files, services."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, Self, TypeVar, cast

from graphcore.errors import Cancelled
from graphcore.files import Files
from graphcore.settings import Settings

if TYPE_CHECKING:
    from graphcore.registry import Registry


class Service(Protocol):
    """Something shared by all nodes of an engine, made when first asked for (a model store, say)."""

    @classmethod
    def create(cls, services: Services) -> Self:
        """Make the one instance of an engine."""
        ...


ServiceT = TypeVar("ServiceT", bound=Service)


class Services:
    """The shared objects of one engine, by class; each is made once, when first asked for."""

    def __init__(self, *, files: Files, settings: Settings) -> None:
        self.files = files
        self.settings = settings
        self._made: dict[type, object] = {}
        self._lock = threading.RLock()

    def get(self, kind: type[ServiceT]) -> ServiceT:
        """The engine's instance of `kind`."""
        made = self._made.get(kind)
        if made is None:
            with self._lock:
                made = self._made.get(kind)
                if made is None:
                    made = self._made[kind] = kind.create(self)
        return cast(ServiceT, made)

    def provide(self, instance: object) -> None:
        """Use `instance` as the one of its class."""
        with self._lock:
            self._made[type(instance)] = instance

    def close(self) -> None:
        """Close every service that has a `close` method."""
        with self._lock:
            for instance in self._made.values():
                close = getattr(instance, "close", None)
                if callable(close):
                    close()
            self._made.clear()


class CancelToken:
    """Cancels a run from any thread; the first reason given is kept."""

    __slots__ = ("_callbacks", "_lock", "reason")

    def __init__(self) -> None:
        self.reason: str | None = None
        self._lock = threading.Lock()
        self._callbacks: list[Callable[[], None]] = []

    @property
    def cancelled(self) -> bool:
        """Whether somebody has cancelled the run."""
        return self.reason is not None

    def cancel(self, reason: str = "cancelled by the caller") -> None:
        """Ask the run to stop."""
        with self._lock:
            if self.reason is not None:
                return
            self.reason = reason
            callbacks = list(self._callbacks)
        for callback in callbacks:
            callback()

    def on_cancel(self, callback: Callable[[], None]) -> None:
        """Call `callback` once when cancelled (at once if that has happened)."""
        with self._lock:
            if self.reason is None:
                self._callbacks.append(callback)
                return
        callback()

    def forget(self, callback: Callable[[], None]) -> None:
        """Do not call `callback` any more."""
        with self._lock:
            if callback in self._callbacks:
                self._callbacks.remove(callback)

    def check(self) -> None:
        """Raise Cancelled if the run was cancelled."""
        if self.reason is not None:
            raise Cancelled(self.reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """An encoded picture of what is being made: its media type ("image/jpeg"), its bytes, its size in pixels."""

    media_type: str
    data: bytes
    width: int
    height: int


class ProgressListener(Protocol):
    """Told of a node's progress."""

    def __call__(self, done: int, total: int, preview: Preview | None) -> None: ...


RunPartT = TypeVar("RunPartT")
PictureRecorder = Callable[[str, int], Mapping[str, str]]


@dataclass(slots=True, kw_only=True, eq=False)
class Context:
    """The run, as one node sees it.

    `node_id` is the node's path. `document` is the workflow that is run, `registry` the node types it is made of.
    `device` and `dtype` are the settings' ("auto" where nobody chose).
    """

    node_id: str
    node_type: str
    run_id: str
    services: Services
    token: CancelToken
    listener: ProgressListener | None = None
    previews: bool = False
    shown: list[Mapping[str, object]] = field(default_factory=list)
    document: object = None
    registry: Registry | None = None
    metadata: Mapping[str, object] = field(default_factory=dict)
    facts: dict[str, object] = field(default_factory=dict)
    recorder: PictureRecorder | None = None
    blocking: Callable[[str], None] | None = None
    run_parts: dict[type, object] = field(default_factory=dict)

    @property
    def files(self) -> Files:
        """The folders of models, inputs and outputs."""
        return self.services.files

    @property
    def settings(self) -> Settings:
        """The engine's settings."""
        return self.services.settings

    @property
    def device(self) -> str:
        """The device of the settings, "auto" where nobody chose."""
        return self.services.settings.device

    def service(self, kind: type[ServiceT]) -> ServiceT:
        """The engine's instance of a service class, made when first asked for."""
        return self.services.get(kind)

    def run_part(self, kind: type[RunPartT], make: Callable[[], RunPartT]) -> RunPartT:
        """What the nodes of one run share: the run's instance of a class, made when first asked for."""
        made = self.run_parts.get(kind)
        if made is None:
            made = self.run_parts[kind] = make()
        return cast(RunPartT, made)

    def blocked(self, message: str) -> None:
        """Say that a blocker with a message stopped this node, or the item that it was run for."""
        if self.blocking is not None:
            self.blocking(message)

    def progress(self, done: int, total: int, preview: Preview | None = None) -> None:
        """Report progress; raises Cancelled if the run was cancelled."""
        self.token.check()
        if self.listener is not None:
            self.listener(done, total, preview)

    def check_cancelled(self) -> None:
        """Raise Cancelled if the run was cancelled."""
        self.token.check()

    def show(self, kind: str, item: Mapping[str, object]) -> None:
        """Show something to whoever watches the run ("images": a saved file, "text": a line).

        What is shown is kept with the node's result, so that it is shown again when the result is reused.
        """
        self.shown.append({"kind": kind, **item})

    def picture_texts(self, picture: int = 0) -> Mapping[str, str]:
        """The texts to write into a picture that this node saves, at place `picture` of its batch.

        They say how it was made; empty outside a run, and where the settings turn metadata off.
        """
        if self.recorder is None or not self.settings.metadata:
            return {}
        return self.recorder(self.node_id, picture)

    def note(self, **facts: object) -> None:
        """Put facts about how the result was made (a file's digest, a dtype) into the run's record."""
        self.facts.update(facts)


def detached_context(**settings: object) -> Context:
    """A context outside any run, for calling a node as a function in tests and scripts."""
    made = Settings(**settings)  # type: ignore[arg-type]
    services = Services(files=Files.from_settings(made), settings=made)
    return Context(node_id="node", node_type="", run_id="detached", services=services, token=CancelToken())
