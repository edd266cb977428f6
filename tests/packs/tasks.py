"""Nodes that count, wait, fail and double: what tests of the command line run beside the installed packs."""

from __future__ import annotations

import time
from typing import Annotated, Literal, NamedTuple

from graphcore import Context, Range, Registry, Seed, Text, node


class Halves(NamedTuple):
    """A number in two parts."""

    small: int
    large: int


@node("TaskNumber", category="tasks", aliases=("TaskInteger",))
def number(value: Annotated[int, Range(0, 1000)] = 1) -> int:
    """The number itself."""
    return value


@node("TaskSplit", category="tasks")
def split(value: int) -> Halves:
    """A number as two that add up to it."""
    return Halves(value // 2, value - value // 2)


@node("TaskSum", category="tasks")
def total(values: list[int], factor: float = 1.0) -> float:
    """The sum of all values, times a factor."""
    return sum(values) * factor


@node("TaskTell", category="tasks", output=True)
def tell(
    ctx: Context,
    text: Annotated[str, Text()] = "hello",
    style: Literal["plain", "loud"] = "plain",
    again: bool = False,
    seed: Annotated[int, Seed()] = 0,
) -> str:
    """Show a text to whoever watches."""
    said = text.upper() if style == "loud" else text
    ctx.show("text", {"text": said})
    return said


@node("TaskCount", category="tasks", output=True, cacheable=False, reason="takes time on purpose")
def count(ctx: Context, steps: Annotated[int, Range(1, 100_000)] = 3, pause: float = 0.0) -> int:
    """Count steps, with a pause after each."""
    for done in range(steps):
        ctx.progress(done + 1, steps)
        time.sleep(pause)
    return steps


@node("TaskSleep", category="tasks", output=True, cacheable=False, reason="never looks up")
def sleep(ctx: Context, seconds: float = 60.0) -> int:
    """Report once, then sleep without asking whether the run was cancelled."""
    ctx.progress(0, 1)
    time.sleep(seconds)
    return 0


@node("TaskFail", category="tasks", output=True, cacheable=False, reason="fails on purpose")
def fail(message: str = "as asked") -> int:
    """Raise a ValueError."""
    raise ValueError(message)


def register(registry: Registry) -> None:
    """Add all of them."""
    for function in (number, split, total, tell, count, sleep, fail):
        registry.add(function)
