"""Nodes that calculate and compare."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal, NamedTuple

from graphcore import InputError, OutputName, SocketType, Text, node
from nodes.logic.expressions import evaluate

NUMBER = SocketType("FLOAT,INT,BOOLEAN")
Operation = Literal["add", "subtract", "multiply", "divide", "modulo", "power", "minimum", "maximum"]
Comparison = Literal["equal", "not equal", "less", "less or equal", "greater", "greater or equal"]
_FORMULAS = {
    "add": "a + b",
    "subtract": "a - b",
    "multiply": "a * b",
    "divide": "a / b",
    "modulo": "a % b",
    "power": "a ** b",
    "minimum": "min(a, b)",
    "maximum": "max(a, b)",
}
_LARGEST = 2**64 - 1


class Numbers(NamedTuple):
    """One number, as both kinds."""

    whole: int
    number: float


def _numbers(value: int | float) -> Numbers:
    whole = math.trunc(value)
    if not -(2**63) <= whole <= _LARGEST:
        raise InputError(
            f"The result {value} is beyond 64 bits; use smaller numbers.", code="value-too-large"
        )
    return Numbers(whole, float(value))


@node("MathOp", category="math", title="Math")
def math_op(operation: Operation, a: Annotated[Any, NUMBER], b: Annotated[Any, NUMBER]) -> Numbers:
    """Calculate with two numbers; the result comes whole (towards zero) and as it is."""
    return _numbers(evaluate(_FORMULAS[operation], {"a": _number("a", a), "b": _number("b", b)}))


@node("MathExpression", category="math", title="Math Expression")
def math_expression(
    expression: Annotated[str, Text(multiline=False, placeholder="(a + b) / 2")],
    a: Annotated[Any, NUMBER] = 0,
    b: Annotated[Any, NUMBER] = 0,
    c: Annotated[Any, NUMBER] = 0,
    d: Annotated[Any, NUMBER] = 0,
) -> Numbers:
    """Calculate a formula over a, b, c and d; the result comes whole (towards zero) and as it is.

    It may use + - * / // % **, comparisons, and/or/not, `x if condition else y`, abs, min, max, round, floor, ceil,
    int, float, sqrt, exp, log, log2, log10, sin, cos, tan, pi and e.
    """
    given = {"a": a, "b": b, "c": c, "d": d}
    return _numbers(evaluate(expression, {name: _number(name, value) for name, value in given.items()}))


@node("Compare", category="math", title="Compare")
def compare(comparison: Comparison, a: Any, b: Any) -> Annotated[bool, OutputName("boolean")]:
    """Compare two numbers, or two texts (in the order of their characters)."""
    numbers = isinstance(a, (int, float)) and isinstance(b, (int, float))
    if not numbers and not (isinstance(a, str) and isinstance(b, str)):
        if comparison in ("equal", "not equal"):
            return bool(a == b) is (comparison == "equal")
        raise InputError("Only two numbers or two texts have an order; compare those.", code="bad-comparison")
    outcomes = {
        "equal": a == b,
        "not equal": a != b,
        "less": a < b,
        "less or equal": a <= b,
        "greater": a > b,
        "greater or equal": a >= b,
    }
    return bool(outcomes[comparison])


@node("Not", category="math", title="Not")
def logical_not(value: bool) -> bool:
    """True for false, false for true."""
    return not value


def _number(name: str, value: object) -> int | float:
    if isinstance(value, (bool, int)):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    raise InputError(f"'{name}' must be a finite number, not {type(value).__name__}.", code="wrong-type")
