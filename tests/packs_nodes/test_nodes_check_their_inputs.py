"""VALIDATE_INPUTS in all its forms: some inputs, all of them, types of links, async, and one that fails itself."""

from __future__ import annotations

import pytest

from tests.packs_nodes.prompts import PackEngine, node, shown

ONE = node("Basics Number", value=1)


def test_a_text_is_the_reason_and_false_has_none(packs: PackEngine) -> None:
    assert packs.problems(n=node("BasicsChecked", a=77, b=1)) == [
        ("refused-by-node", "a", "77 is not allowed")
    ]
    assert packs.problems(n=node("BasicsChecked", a=66, b=1)) == [("refused-by-node", "a", None)]
    assert packs.problems(n=node("BasicsChecked", a=1, b=1)) == []


def test_inputs_that_the_check_takes_are_not_checked_otherwise(packs: PackEngine) -> None:
    assert packs.problems(n=node("BasicsChecked", a=50, b=1)) == []
    assert packs.problems(n=node("BasicsChecked", a=1, b=50)) == [("value-too-large", "b", "50")]
    assert packs.problems(n=node("BasicsCheckedAll", a=50, b=49)) == []


def test_a_check_of_all_inputs_objects_to_each(packs: PackEngine) -> None:
    found = packs.problems(n=node("BasicsCheckedAll", a=50, b=50))
    assert found == [("refused-by-node", name, "the sum is 100 or more") for name in ("a", "b")]


def test_a_check_that_takes_types_decides_which_links_fit(packs: PackEngine) -> None:
    text = node("BasicsJoinList", values=["one", 0], separator="")
    flag = node("BasicsIsTwo", value=["one", 0])
    prompt = {"one": ONE, "text": text, "flag": flag}
    assert packs.run(
        **prompt, n=node("BasicsCheckedTypes", a=["text", 0], b=2), show=shown(["n", 0])
    ).texts() == ["3"]
    found = packs.problems(**prompt, n=node("BasicsCheckedTypes", a=["flag", 0], b=2))
    assert {entry[:2] for entry in found} == {("refused-by-node", "a"), ("refused-by-node", "input_types")}
    assert found[0][2] == "BOOLEAN will not do"


def test_a_check_that_fails_is_a_problem_too(packs: PackEngine) -> None:
    assert packs.problems(n=node("BasicsCheckFails", a=1, b=1)) == [
        ("node-check-failed", None, "LookupError: the check is broken")
    ]


@pytest.mark.parametrize(
    ("inputs", "problem"),
    [
        ({"value": "x"}, ("wrong-type", "value", "'x'")),
        ({"value": 11}, ("value-too-large", "value", "11")),
        ({}, ("missing-input", "value", None)),
    ],
)
def test_declared_bounds_and_types_hold_without_a_check(
    packs: PackEngine, inputs: dict[str, object], problem: tuple[str, str, str | None]
) -> None:
    code, name, got = problem
    ((found, found_name, found_got),) = packs.problems(
        n=node("Basics Number", **inputs), show=shown(["n", 0])
    )
    assert (found, found_name) == (code, name)
    assert got is None or found_got is not None


def test_choices_hold(packs: PackEngine) -> None:
    good = {"text": "", "strength": 1, "seed": 0, "on": True, "mode": "fast", "colour": "red", "remote": "x"}
    several = {"__value__": ["a"]}
    assert packs.problems(n=node("BasicsWidgets", **good, several=several)) == []
    wrong = good | {"mode": "faster", "colour": "green"}
    found = packs.problems(n=node("BasicsWidgets", **wrong, several={"__value__": ["a", "z"]}))
    assert sorted(entry[1] or "" for entry in found) == ["colour", "mode", "several"]
