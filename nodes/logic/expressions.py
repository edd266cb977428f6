"""Arithmetic in a text, safely: parsed by Python's own parser, and evaluated only as far as it is arithmetic.

No name, call, attribute or subscript outside a short list is accepted, numbers stay finite and below a size, and the
work is bounded, so that a formula of a stranger can do no harm.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping
from types import MappingProxyType

from graphcore import InputError

Number = int | float | bool

MAX_CHARACTERS = 2000
MAX_DEPTH = 50
MAX_BITS = 256


def _power(base: Number, exponent: Number) -> Number:
    if isinstance(base, int) and isinstance(exponent, int) and exponent >= 0:
        if base.bit_length() * exponent > MAX_BITS:
            raise OverflowError("the number is too large")
        return int(base**exponent)
    result = float(base) ** exponent
    if isinstance(result, complex):
        raise ValueError("the root of a negative number")
    return float(result)


_BINARY: Mapping[type[ast.operator], Callable[[Number, Number], Number]] = MappingProxyType(
    {
        ast.Add: operator.add,
        ast.Sub: operator.sub,
        ast.Mult: operator.mul,
        ast.Div: operator.truediv,
        ast.FloorDiv: operator.floordiv,
        ast.Mod: operator.mod,
        ast.Pow: _power,
    }
)
_UNARY: Mapping[type[ast.unaryop], Callable[[Number], Number]] = MappingProxyType(
    {ast.UAdd: operator.pos, ast.USub: operator.neg, ast.Not: operator.not_}
)
_COMPARISONS: Mapping[type[ast.cmpop], Callable[[Number, Number], bool]] = MappingProxyType(
    {
        ast.Eq: operator.eq,
        ast.NotEq: operator.ne,
        ast.Lt: operator.lt,
        ast.LtE: operator.le,
        ast.Gt: operator.gt,
        ast.GtE: operator.ge,
    }
)
_FUNCTIONS: Mapping[str, Callable[..., Number]] = MappingProxyType(
    {
        "abs": abs,
        "min": min,
        "max": max,
        "round": round,
        "floor": math.floor,
        "ceil": math.ceil,
        "int": int,
        "float": float,
        "sqrt": math.sqrt,
        "exp": math.exp,
        "log": math.log,
        "log2": math.log2,
        "log10": math.log10,
        "sin": math.sin,
        "cos": math.cos,
        "tan": math.tan,
    }
)
_CONSTANTS: Mapping[str, Number] = MappingProxyType(
    {"pi": math.pi, "e": math.e, "true": True, "false": False}
)


def evaluate(expression: str, names: Mapping[str, Number]) -> Number:
    """The value of a formula over `names`.

    It has + - * / // % **, comparisons, `and`, `or`, `not`, `a if condition else b`, and the functions abs, min, max,
    round, floor, ceil, int, float, sqrt, exp, log, log2, log10, sin, cos, tan. Raises InputError for anything else, and
    where there is no finite result.
    """
    if len(expression) > MAX_CHARACTERS:
        raise _error(expression, f"is longer than {MAX_CHARACTERS} characters")
    try:
        tree = ast.parse(expression.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise _error(expression, "cannot be read") from error
    evaluator = _Evaluator(expression, {**_CONSTANTS, **names})
    try:
        return _bounded(evaluator.value(tree.body, 0), expression)
    except ZeroDivisionError as error:
        raise _error(expression, "divides by zero") from error
    except (ArithmeticError, ValueError, TypeError) as error:
        raise _error(expression, f"has no value ({error})") from error


class _Evaluator:
    def __init__(self, expression: str, names: Mapping[str, Number]) -> None:
        self.expression = expression
        self.names = names

    def value(self, tree: ast.expr, depth: int) -> Number:
        if depth > MAX_DEPTH:
            raise _error(self.expression, f"is nested more than {MAX_DEPTH} deep")
        depth += 1
        match tree:
            case ast.Constant(value=bool() | int() | float() as number):
                return _bounded(number, self.expression)
            case ast.Name(id=name) if name in self.names:
                return self.names[name]
            case ast.Name(id=name):
                raise _error(
                    self.expression, f"has the unknown name '{name}'; it knows {', '.join(self.names)}"
                )
            case ast.UnaryOp(op=op, operand=operand) if type(op) in _UNARY:
                return _UNARY[type(op)](self.value(operand, depth))
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
                result = _BINARY[type(op)](self.value(left, depth), self.value(right, depth))
                return _bounded(result, self.expression)
            case ast.BoolOp(op=op, values=values):
                return self._logic(isinstance(op, ast.And), values, depth)
            case ast.Compare(left=left, ops=ops, comparators=comparators):
                return self._comparison(left, ops, comparators, depth)
            case ast.IfExp(test=test, body=body, orelse=orelse):
                return self.value(body if self.value(test, depth) else orelse, depth)
            case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in _FUNCTIONS:
                return _bounded(_FUNCTIONS[name](*[self.value(arg, depth) for arg in args]), self.expression)
            case _:
                raise _error(self.expression, "holds something that is no arithmetic")

    def _logic(self, conjunction: bool, values: list[ast.expr], depth: int) -> Number:
        result: Number = conjunction
        for tree in values:
            result = self.value(tree, depth)
            if bool(result) is not conjunction:
                break
        return result

    def _comparison(self, left: ast.expr, ops: list[ast.cmpop], others: list[ast.expr], depth: int) -> bool:
        value = self.value(left, depth)
        for op, tree in zip(ops, others, strict=True):
            other = self.value(tree, depth)
            if type(op) not in _COMPARISONS:
                raise _error(self.expression, "holds something that is no arithmetic")
            if not _COMPARISONS[type(op)](value, other):
                return False
            value = other
        return True


def _bounded(number: Number, expression: str) -> Number:
    if isinstance(number, int) and number.bit_length() <= MAX_BITS:
        return number
    if isinstance(number, float) and math.isfinite(number):
        return number
    raise _error(expression, "has no finite value of a usable size")


def _error(expression: str, what: str) -> InputError:
    return InputError(f"The formula {expression[:80]!r} {what}.", code="bad-expression")
