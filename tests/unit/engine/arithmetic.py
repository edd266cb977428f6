"""Small nodes that the engine's tests are made of: numbers in, numbers out."""

from __future__ import annotations

import asyncio
from typing import Annotated, Literal, NamedTuple, TypeVar

from graphcore import (
    Blocked,
    Context,
    Each,
    Expand,
    Lazy,
    Link,
    NodeEntry,
    Range,
    Registry,
    Workflow,
    node,
    socket,
)

T = TypeVar("T")


@socket("PICTURE")
class Picture:
    """A value that is neither number nor text."""

    def __init__(self, pixels: int = 1) -> None:
        self.pixels = pixels


@socket("SKETCH")
class Sketch(Picture):
    """A kind of picture."""


class Division(NamedTuple):
    quotient: int
    remainder: int


@node("Number")
def number(value: int = 1) -> int:
    """A whole number."""
    return value


@node("Real")
def real(value: Annotated[float, Range(-100.0, 100.0)] = 1.0) -> float:
    """A number."""
    return value


@node("Words")
def words(text: str = "") -> str:
    """A text."""
    return text


@node("Truth")
def truth(value: bool = True) -> bool:
    """True or false."""
    return value


@node("Add", aliases=("Plus",))
def add(a: int, b: int = 0) -> int:
    """a + b."""
    return a + b


@node("Divide")
def divide(a: int, b: int = 2) -> Division:
    """a / b, whole and rest."""
    return Division(a // b, a % b)


@node("Sum")
def total(values: list[int]) -> int:
    """The sum of a list."""
    return sum(values)


@node("Items")
def items(count: int) -> Each[int]:
    """0, 1, 2 … one after the other."""
    return Each(range(count))


@node("Choose")
async def choose(which: bool, yes: Lazy[int], no: Lazy[int]) -> int:
    """One of two, and only that one is computed."""
    return await (yes if which else no)


@node("Same")
def same(value: T) -> T:
    """The value as it came."""
    return value


@node("Mode")
def mode(mode: Literal["fast", "slow"] = "fast") -> str:
    """One of two words."""
    return mode


@node("Draw")
def draw(
    width: Annotated[int, Range(1, 10**6, role="width")], height: Annotated[int, Range(1, role="height")] = 8
) -> Picture:
    """A picture of some size."""
    return Picture(width * height)


@node("Doodle")
def doodle() -> Sketch:
    """A sketch."""
    return Sketch()


@node("Measure")
def measure(picture: Picture) -> int:
    """The pixels of a picture."""
    return picture.pixels


@node("Show", output=True)
def show(ctx: Context, value: int) -> None:
    """Show a number."""
    ctx.show("text", {"text": str(value)})


@node("Fail")
def fail(value: int = 0) -> int:
    """Never works."""
    raise ValueError("it never works")


@node("Gate")
def gate(value: int, least: int = 0) -> int | Blocked:
    """The value, or nothing if it is below `least`."""
    return value if value >= least else Blocked(f"{value} is below {least}")


@node("Power")
def power(base: int, exponent: int, so_far: int = 1) -> int | Expand:
    """base ** exponent, by expanding into itself."""
    if exponent == 0:
        return so_far
    inner = NodeEntry(type="Power", inputs={"base": base, "exponent": exponent - 1, "so_far": so_far * base})
    return Expand(Workflow(nodes={"next": inner}), {"int": Link("next")})


@node("Slowly", thread=True)
def slowly(value: int) -> int:
    """The value, from another thread."""
    return value


@node("Later")
async def later(value: int) -> int:
    """The value, a turn of the loop later."""
    await asyncio.sleep(0)
    return value


NODES = (
    number,
    real,
    words,
    truth,
    add,
    divide,
    total,
    items,
    choose,
    same,
    mode,
    draw,
    doodle,
    measure,
    show,
    fail,
    gate,
    power,
    slowly,
    later,
)


def arithmetic() -> Registry:
    """A registry of these nodes."""
    return Registry(NODES)
