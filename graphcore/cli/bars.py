"""Progress bars in a terminal: one for the nodes of a run, one for the steps of each node that reports them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

from graphcore.cli.progress import StepPace, paced
from graphcore.events import (
    Event,
    NodeExpanded,
    NodeFailed,
    NodeFinished,
    NodeProgress,
    NodesCached,
    NodeSkipped,
    NodeStarted,
    RunStarted,
)

if TYPE_CHECKING:
    from rich.progress import Task, TaskID


class PaceColumn(ProgressColumn):
    """Steps a second of the node that a bar is for."""

    def __init__(self, pace: StepPace) -> None:
        super().__init__()
        self._pace = pace

    def render(self, task: Task) -> Text:
        """The pace, or nothing before it is known."""
        rate = self._pace.rate(str(task.fields.get("node", "")))
        return Text(paced(rate) if rate is not None else "", style="progress.data.speed")


class BarView:
    """Draws a run's bars on standard error; with `previews`, the latest preview above them."""

    def __init__(self, *, previews: bool = False, console: Console | None = None) -> None:
        self.pace = StepPace()
        self.console = console or Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}", justify="left"),
            BarColumn(),
            MofNCompleteColumn(),
            PaceColumn(self.pace),
            TimeElapsedColumn(),
            console=self.console,
        )
        self._previews = previews
        self._live = Live(self._progress, console=self.console, refresh_per_second=10, transient=False)
        self._nodes: TaskID | None = None
        self._bars: dict[str, TaskID] = {}
        self._types: dict[str, str] = {}

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._live.update(self._progress)
        self._live.stop()

    def hear(self, event: Event) -> None:
        """Move the bars."""
        self.pace.hear(event)
        if isinstance(event, RunStarted):
            self._nodes = self._progress.add_task("nodes", total=event.nodes)
        elif isinstance(event, NodesCached):
            self._advance(len(event.used))
        elif isinstance(event, NodeStarted):
            self._types[event.node] = event.type
            self._describe(f"nodes  {event.node}")
        elif isinstance(event, NodeProgress):
            self._step(event)
        elif isinstance(event, NodeExpanded) and self._nodes is not None:
            total = self._progress.tasks[0].total or 0
            self._progress.update(self._nodes, total=total + len(event.nodes))
        elif isinstance(event, (NodeFinished, NodeFailed, NodeSkipped)):
            self._end(event)

    def _step(self, event: NodeProgress) -> None:
        bar = self._bars.get(event.node)
        if bar is None:
            kind = self._types.get(event.node, "")
            title = f"  {event.node}" + (f" ({kind})" if kind else "")
            bar = self._bars[event.node] = self._progress.add_task(title, total=event.total, node=event.node)
        self._progress.update(bar, completed=event.done, total=event.total)
        if self._previews and event.preview is not None:
            from graphcore.cli.preview import preview_text

            drawn = Group(preview_text(event.preview.data, width=48), self._progress)
            self._live.update(drawn, refresh=True)

    def _end(self, event: NodeFinished | NodeFailed | NodeSkipped) -> None:
        bar = self._bars.get(event.node)
        if bar is not None:
            self._progress.stop_task(bar)
        if not (isinstance(event, NodeFinished) and event.cached):
            self._advance(1)

    def _advance(self, count: int) -> None:
        if self._nodes is not None:
            self._progress.advance(self._nodes, count)

    def _describe(self, text: str) -> None:
        if self._nodes is not None:
            self._progress.update(self._nodes, description=text)
