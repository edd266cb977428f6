"""Progress of a node: `comfy.utils.ProgressBar`, `comfy_execution.progress` and `comfy_execution.utils`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

from graphcore.context import Preview
from nodes.packs.host import LiveRuns, PackHost, PackRun, current_host, running, running_in

PROGRESS_BAR_ENABLED = True
Hook = Callable[..., object]


class ExecutionContext(NamedTuple):
    """The node that the caller is part of: the run, the node, and which item of a list it works on."""

    prompt_id: str
    node_id: str
    list_index: int | None


@dataclass(slots=True)
class ProgressHook:
    """A function that is told of all progress of packs' nodes, where a pack has set one."""

    function: Hook | None = None

    @classmethod
    def create(cls, host: PackHost) -> Self:
        del host
        return cls()


def set_progress_bar_enabled(enabled: bool) -> None:
    """Accepted, and without effect: whoever watches decides what is shown."""
    del enabled


def set_progress_bar_global_hook(function: Hook | None) -> None:
    """Tell this function of all progress, too."""
    current_host().part(ProgressHook).function = function


def report_progress(
    value: float, total: float, preview: Any = None, node_id: str | None = None, run: PackRun | None = None
) -> None:
    """Report progress of a node: that of `run`, or else the caller's; raises Cancelled if its run was cancelled.

    `preview` is a picture: a Pillow image, ComfyUI's triple ("JPEG", image, size), or a tensor (height, width, 3).
    """
    hook = current_host().part(ProgressHook).function
    run = running() or run
    if hook is not None:
        hook(value, total, preview, node_id=node_id or (run.context.node_id if run is not None else None))
    if run is not None:
        shown = encoded(preview) if preview is not None and run.context.previews else None
        run.context.progress(int(value), max(int(total), 1), shown)


class ProgressBar:
    """How far a node is; each update is told to whoever watches the run. It may be updated from other threads."""

    def __init__(self, total: float, node_id: str | None = None) -> None:
        self.total = total
        self.current: float = 0
        self.node_id = node_id
        self._run = running()

    def update_absolute(self, value: float, total: float | None = None, preview: Any = None) -> None:
        """So many of `total` are done."""
        if total is not None:
            self.total = total
        self.current = min(value, self.total)
        report_progress(self.current, self.total, preview, self.node_id, self._run)

    def update(self, value: float) -> None:
        """So many more are done."""
        self.update_absolute(self.current + value)


def encoded(preview: Any) -> Preview | None:
    """A picture as a JPEG for those who watch; None if it is none."""
    import io

    from PIL import Image as Pillow

    picture, side = preview, 512
    if isinstance(preview, tuple) and len(preview) >= 2:
        picture = preview[1]
        side = preview[2] if len(preview) > 2 and isinstance(preview[2], int) else side
    if hasattr(picture, "detach"):
        from nodes.diffusion.pictures import to_pillow

        picture = to_pillow(picture[0] if picture.ndim == 4 else picture)
    if not isinstance(picture, Pillow.Image):
        return None
    small = picture.convert("RGB")
    small.thumbnail((side, side))
    stream = io.BytesIO()
    small.save(stream, format="JPEG", quality=85)
    return Preview(media_type="image/jpeg", data=stream.getvalue(), width=small.width, height=small.height)


def get_executing_context() -> ExecutionContext | None:
    """The node that the caller is part of, or None outside any."""
    run = running()
    if run is None:
        return None
    return ExecutionContext(run.context.run_id, run.context.node_id, run.list_index)


@contextmanager
def CurrentNodeContext(  # noqa: N802 (ComfyUI's name)
    prompt_id: str, node_id: str, list_index: int | None = None
) -> Iterator[None]:
    """Take part in a node's run while the block lasts, as threads that a pack starts do."""
    context = current_host().part(LiveRuns).find(prompt_id, node_id)
    if context is None:
        yield
        return
    with running_in(context, list_index=list_index):
        yield


@dataclass(slots=True)
class ProgressState:
    """`comfy_execution.progress`'s registry, as far as packs report to it."""

    nodes: dict[str, dict[str, float]] = field(default_factory=dict)

    @classmethod
    def create(cls, host: PackHost) -> Self:
        del host
        return cls()

    @property
    def prompt_id(self) -> str:
        """The run that the caller is part of."""
        run = running()
        return run.context.run_id if run is not None else ""

    def update_progress(self, node_id: str, value: float, max_value: float, image: Any = None) -> None:
        """So many of `max_value` are done."""
        report_progress(value, max_value, image, node_id)

    def start_progress(self, node_id: str) -> None:
        """The node has begun."""
        self.nodes[node_id] = {"value": 0.0, "max": 1.0}

    def finish_progress(self, node_id: str) -> None:
        """The node is done."""
        self.nodes.pop(node_id, None)


def get_progress_state() -> ProgressState:
    """Where nodes report their progress to."""
    return current_host().part(ProgressState)


def PROGRESS_BAR_HOOK(value: float, total: float, preview: Any = None, node_id: str | None = None) -> None:  # noqa: N802
    """Report progress of the caller's node."""
    report_progress(value, total, preview, node_id)


def model_trange(*args: Any, **kwargs: Any) -> Any:
    """`range`, reporting its progress."""
    del kwargs
    steps = range(*args)
    bar = ProgressBar(len(steps))

    def reported() -> Iterator[int]:
        for step in steps:
            yield step
            bar.update(1)

    return reported()
