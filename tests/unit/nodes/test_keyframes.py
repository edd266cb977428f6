"""Schedules over frames mean what Deforum users write, and mistakes are told."""

from __future__ import annotations

import math
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphcore import InputError
from nodes.video.flight import keyframe_value
from nodes.video.keyframes import read_prompts, read_schedule


@pytest.mark.parametrize(
    ("text", "frame", "value"),
    [
        ("0:(1.0), 10:(1.05)", 0, 1.0),
        ("0:(1.0), 10:(1.05)", 5, 1.025),
        ("0:(1.0), 10:(1.05)", 10, 1.05),
        ("0:(1.0), 10:(1.05)", 99, 1.05),
        ("10:(2), 0:(1)", 5, 1.5),
        ("5:(3)", 0, 3.0),
        ("0: 1, 4: -1", 2, 0.0),
        ("0:(-.5)", 3, -0.5),
        ("1.02", 7, 1.02),
        ("2 * t", 7, 14.0),
        ("0:(sin(t / 5)), 20:(0)", 10, math.sin(2)),
        ("0:((1 + 2) * (t + 1))", 2, 9.0),
        ("0:(max(t, 3))", 1, 3.0),
        (" 0 : ( 1.5 ) ,\n 2:(2.5) ", 1, 2.0),
    ],
)
def test_values(text: str, frame: int, value: float) -> None:
    assert keyframe_value(text, frame) == pytest.approx(value)


@pytest.mark.parametrize(
    "text",
    ["", "0:", "0:(1", "0:(1) 5:(2)", "0:(one)", "0:(1), x:(2)", "-1:(2)", "0:(__import__('os'))", "0:(1/0)"],
)
def test_mistakes(text: str) -> None:
    with pytest.raises(InputError):
        read_schedule(text, "zoom")


@given(st.text(alphabet="0123456789:().,+-*/ tsin", max_size=30))
def test_nothing_but_input_errors(text: str) -> None:
    with suppress(InputError):
        read_schedule(text, "zoom").at(3)


@pytest.mark.parametrize(
    "text",
    ["0: a house\n10: a castle, at night", '{"0": "a house", "10": "a castle, at night"}'],
)
def test_prompts(text: str) -> None:
    prompts = read_prompts(text)
    assert prompts.at(5, blend=False) == ("a house", "a house", 0.0)
    assert prompts.at(5, blend=True) == ("a house", "a castle, at night", 0.5)
    assert prompts.at(10, blend=True)[0] == "a castle, at night"


def test_a_plain_prompt_holds_for_all_frames() -> None:
    assert read_prompts("a house\nby the sea").at(50, blend=True)[0] == "a house\nby the sea"
    assert read_prompts("").at(0, blend=True)[0] == ""


@pytest.mark.parametrize("text", ['{"a": "b"}', "{", "{}", "[1]{"])
def test_prompts_that_are_no_schedule(text: str) -> None:
    if text.startswith("{"):
        with pytest.raises(InputError):
            read_prompts(text)
    else:
        assert read_prompts(text).at(0, blend=False)[0] == text
