"""What node packs run in: the registry and settings of an engine, and the run that is under way.

ComfyUI's modules are reached by import and so know nobody. Ours ask `current_host()`, which finds the host that was
installed, and `running()`, which is the run of the thread or task that asks.
"""

from __future__ import annotations

import itertools
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol, Self, TypeVar, cast

from graphcore.context import Context
from graphcore.errors import ResourceError
from graphcore.files import Files
from graphcore.registry import Registry
from graphcore.settings import Settings

Send = Callable[[str, object, str | None], None]


class HostPart(Protocol):
    """State that belongs to a host: a table of folders, a server's face."""

    @classmethod
    def create(cls, host: PackHost) -> Self:
        """Make the one instance of a host."""
        ...


PartT = TypeVar("PartT", bound=HostPart)


def _unsent(event: str, data: object, client: str | None) -> None:
    del event, data, client


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PackHost:
    """What packs see of an engine.

    `send` takes a message for clients: its type, its data, and the client that it is for (None: all of them).
    `root` is the folder that packs take for ComfyUI's own.
    """

    registry: Registry
    settings: Settings
    send: Send = _unsent
    root: Path | None = None
    _parts: dict[type, object] = field(default_factory=dict, repr=False)
    _lock: threading.RLock = field(default_factory=threading.RLock, repr=False)

    @property
    def base(self) -> Path:
        """The folder that holds models/, input/ and output/, as far as there is one."""
        if self.root is not None:
            return self.root.absolute()
        models = self.settings.models_dirs
        return models[0].absolute().parent if models else self.settings.output_dir.absolute().parent

    def part(self, kind: type[PartT]) -> PartT:
        """The host's instance of `kind`, made when first asked for."""
        with self._lock:
            if kind not in self._parts:
                self._parts[kind] = kind.create(self)
            return cast(PartT, self._parts[kind])

    def files(self) -> Files:
        """The folders of the run that is under way, or else those that the settings name."""
        run = running()
        return run.context.files if run is not None else self.part(_SettledFiles).files


@dataclass(frozen=True, slots=True)
class _SettledFiles:
    files: Files

    @classmethod
    def create(cls, host: PackHost) -> Self:
        return cls(Files.from_settings(host.settings, host.registry.folders))


@dataclass(frozen=True, slots=True, kw_only=True)
class PackRun:
    """A pack's node at work: the run as it sees it, which item of a list it works on, and the graphs that it builds."""

    context: Context
    list_index: int | None = None
    prompt: Any = None
    graphs: Iterator[int] = field(default_factory=itertools.count)


class LiveRuns:
    """The nodes of packs that are at work, for threads that packs have started."""

    def __init__(self) -> None:
        self._contexts: dict[tuple[str, str], list[Context]] = {}
        self._lock = threading.Lock()

    @classmethod
    def create(cls, host: PackHost) -> Self:
        """None yet."""
        del host
        return cls()

    def add(self, context: Context) -> None:
        """A node has begun."""
        with self._lock:
            self._contexts.setdefault((context.run_id, context.node_id), []).append(context)

    def remove(self, context: Context) -> None:
        """It is done."""
        with self._lock:
            held = self._contexts[context.run_id, context.node_id]
            held.pop()
            if not held:
                del self._contexts[context.run_id, context.node_id]

    def find(self, run_id: str, node_id: str) -> Context | None:
        """The context of a node at work, or None."""
        with self._lock:
            held = self._contexts.get((run_id, node_id))
            return held[-1] if held else None


_RUNNING: Final[ContextVar[PackRun | None]] = ContextVar("graphcore_pack_run", default=None)
_LOADING: Final[ContextVar[str | None]] = ContextVar("graphcore_pack_loading", default=None)


def running() -> PackRun | None:
    """The run that the caller is part of, or None outside any."""
    return _RUNNING.get()


@contextmanager
def running_in(context: Context, *, list_index: int | None = None, prompt: Any = None) -> Iterator[None]:
    """Let ComfyUI's modules see this run while the block lasts; every call of a pack's code goes inside one."""
    token = _RUNNING.set(PackRun(context=context, list_index=list_index, prompt=prompt))
    live = current_host().part(LiveRuns)
    live.add(context)
    try:
        yield
    finally:
        live.remove(context)
        _RUNNING.reset(token)


@contextmanager
def loading(pack: str) -> Iterator[None]:
    """Say which pack is being imported while the block lasts, so that errors can name it."""
    token = _LOADING.set(pack)
    try:
        yield
    finally:
        _LOADING.reset(token)


def current_host() -> PackHost:
    """The host that was installed last; raises ResourceError if there is none."""
    for finder in sys.meta_path:
        host = getattr(finder, "pack_host", None)
        if isinstance(host, PackHost):
            return host
    raise ResourceError(
        "No node pack is loaded here, so there is nothing of ComfyUI's to import; load one with --node-pack."
    )


def pack_at_work() -> str:
    """The pack that is being imported, or whose node is running, in words."""
    loading_pack, run = _LOADING.get(), _RUNNING.get()
    if loading_pack is not None:
        return f"the node pack '{loading_pack}'"
    return f"the node '{run.context.node_type}'" if run is not None else "a node pack"
