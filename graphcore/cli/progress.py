"""Shows a run while it goes on: readers of its event stream."""

from __future__ import annotations

import json
import sys
from contextlib import AbstractContextManager
from typing import Protocol, Self

import click

from graphcore.events import Event, NodeFinished, NodeProgress, NodeStarted


class RunView(AbstractContextManager["RunView"], Protocol):
    """Something that is told of a run's events; what it shows is put away when it is left."""

    def hear(self, event: Event) -> None:
        """Show one event."""
        ...


class SilentView:
    """Shows nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        return None

    def hear(self, event: Event) -> None:
        """Ignore the event."""


class JsonView(SilentView):
    """Writes each event as one line of JSON to standard output."""

    def hear(self, event: Event) -> None:
        """Write the event."""
        click.echo(json.dumps(event.as_json(), ensure_ascii=False))


class LineView(SilentView):
    """Writes a line for each node that took its time: for logs and pipes."""

    SLOW_S = 0.5

    def __init__(self) -> None:
        self.pace = StepPace()
        self.types: dict[str, str] = {}

    def hear(self, event: Event) -> None:
        """Write a line if the event ends a node that had steps or was slow."""
        self.pace.hear(event)
        if isinstance(event, NodeStarted):
            self.types[event.node] = event.type
        elif isinstance(event, NodeFinished):
            steps = self.pace.finished(event.node)
            if not event.cached and (steps or event.seconds >= self.SLOW_S):
                kind = self.types.get(event.node, "")
                parts = [f"{event.node} ({kind})", *([steps] if steps else []), f"{event.seconds:.1f} s"]
                click.echo("  ".join(parts), err=True)


class StepPace:
    """How fast nodes go through their steps, from the times of their progress events."""

    def __init__(self) -> None:
        self._first: dict[str, NodeProgress] = {}
        self._last: dict[str, NodeProgress] = {}

    def hear(self, event: Event) -> None:
        """Take note of progress."""
        if isinstance(event, NodeProgress):
            known = self._first.get(event.node)
            if known is None or event.done <= known.done:
                self._first[event.node] = event
            self._last[event.node] = event

    def rate(self, node: str) -> float | None:
        """Steps per second, or None before there are two reports."""
        first, last = self._first.get(node), self._last.get(node)
        if first is None or last is None or last.done <= first.done or last.time <= first.time:
            return None
        return (last.done - first.done) / (last.time - first.time)

    def finished(self, node: str) -> str:
        """The node's steps and their pace in words, empty if it reported none; the node is forgotten."""
        rate, last = self.rate(node), self._last.pop(node, None)
        self._first.pop(node, None)
        if last is None:
            return ""
        return f"{last.done}/{last.total} steps" + (f"  {paced(rate)}" if rate is not None else "")


def paced(rate: float) -> str:
    """A rate as people read it: steps a second, or seconds a step where that is the larger number."""
    return f"{rate:.1f} it/s" if rate >= 1 else f"{1 / rate:.1f} s/it"


def view_of_run(*, quiet: bool, as_events: bool, previews: bool) -> RunView:
    """The view that fits where the output goes: bars in a terminal, lines elsewhere."""
    if as_events:
        return JsonView()
    if quiet:
        return SilentView()
    if sys.stderr.isatty():
        from graphcore.cli.bars import BarView

        return BarView(previews=previews)
    return LineView()
