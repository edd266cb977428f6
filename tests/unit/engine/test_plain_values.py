"""Plain values: native documents mean what they say, ComfyUI's prompts have ComfyUI's conversions."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest

from graphcore import Dialect, Limits, Range, node, spec_of
from graphcore.literals import Fault, LiteralRules


@node("Takes")
def takes(
    whole: int,
    real: Annotated[float, Range(-10, 10)],
    text: str,
    truth: bool,
    choice: Literal["a", "b"],
    number_choice: Literal[1, 2],
    anything: object,
    maybe: int | None = None,
) -> int:
    """One input of each kind."""
    return 0


WRONG = "wrong-type"
CASES: list[tuple[str, Any, Any, Any]] = [
    # input, value, native, ComfyUI
    ("whole", 3, 3, 3),
    ("whole", "20", WRONG, 20),
    ("whole", " 20 ", WRONG, 20),
    ("whole", "x", WRONG, WRONG),
    ("whole", 3.9, WRONG, 3),
    ("whole", True, WRONG, 1),
    ("whole", None, WRONG, WRONG),
    ("whole", [1], WRONG, WRONG),
    ("whole", 2**64, "integer-too-large", "integer-too-large"),
    ("whole", "9" * 5000, WRONG, WRONG),
    ("real", 3, 3.0, 3.0),
    ("real", "1.5", WRONG, 1.5),
    ("real", "nan", WRONG, "not-finite"),
    ("real", float("inf"), "not-finite", "not-finite"),
    ("real", 10**400, WRONG, WRONG),
    ("real", 10.5, "value-too-large", "value-too-large"),
    ("real", "-11", WRONG, "value-too-small"),
    ("text", "x", "x", "x"),
    ("text", 3, WRONG, "3"),
    ("text", {}, WRONG, WRONG),
    ("text", "x" * 101, "over-budget", "over-budget"),
    ("truth", True, True, True),
    ("truth", "false", WRONG, True),
    ("truth", 0, WRONG, False),
    ("choice", "a", "a", "a"),
    ("choice", "c", "not-a-choice", "not-a-choice"),
    ("choice", ["a"], "not-a-choice", "not-a-choice"),
    ("number_choice", 1, 1, 1),
    ("number_choice", "1", "not-a-choice", 1),
    ("number_choice", True, "not-a-choice", 1),
    ("anything", {"a": [1, None]}, {"a": [1, None]}, {"a": [1, None]}),
    ("maybe", None, None, None),
    ("maybe", 3, 3, 3),
]


@pytest.mark.parametrize(("name", "value", "native", "comfy"), CASES)
def test_a_value_and_what_becomes_of_it(name: str, value: Any, native: Any, comfy: Any) -> None:
    spec = spec_of(takes)
    assert spec is not None
    for dialect, expected in ((Dialect.NATIVE, native), (Dialect.COMFY, comfy)):
        rules = LiteralRules(dialect=dialect, files=None, limits=Limits(text_chars=100))
        found = rules.check(spec.by_name[name], value)
        if isinstance(found, Fault):
            assert found.code == expected
            assert len(found.message) < 300
        else:
            assert found == expected
            assert type(found) is type(expected)


def test_plain_values_may_not_nest_without_end() -> None:
    deep: Any = 0
    for _ in range(100):
        deep = [deep]
    spec = spec_of(takes)
    assert spec is not None
    rules = LiteralRules(dialect=Dialect.NATIVE, files=None, limits=Limits())
    assert isinstance(rules.check(spec.by_name["anything"], deep), Fault)
