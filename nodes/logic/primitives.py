"""Nodes that hold one plain value."""

from __future__ import annotations

from typing import Annotated

from graphcore import Range, Seed, Text, node
from graphcore.sockets import COMBO

LARGEST = 2**63 - 1


@node("Int", category="primitive", title="Int", aliases=("PrimitiveInt",))
def int_value(value: Annotated[int, Range(-LARGEST, LARGEST), Seed()]) -> int:
    """A whole number."""
    return value


@node("Float", category="primitive", title="Float", aliases=("PrimitiveFloat",))
def float_value(value: Annotated[float, Range(-LARGEST, LARGEST, step=0.1)]) -> float:
    """A number."""
    return value


@node("TextLine", category="primitive", title="Text Line", aliases=("PrimitiveString",))
def text_line(value: Annotated[str, Text(multiline=False)]) -> str:
    """A line of text."""
    return value


@node("Text", category="primitive", title="Text", aliases=("PrimitiveStringMultiline",))
def text_value(value: Annotated[str, Text()]) -> str:
    """Text of any length."""
    return value


@node("CustomCombo", category="primitive", title="Custom Combo")
def custom_combo(choice: Annotated[str, COMBO]) -> str:
    """A choice among texts that the editor holds."""
    return choice


@node("Boolean", category="primitive", title="Boolean", aliases=("PrimitiveBoolean",))
def boolean_value(value: bool) -> bool:
    """True or false."""
    return value
