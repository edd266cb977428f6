"""File name patterns and dynamic prompts are filled in when a graph is converted."""

from __future__ import annotations

from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphcore.errors import DocumentError
from graphcore.formats.ui.substitution import choose_dynamically, fill_file_name, protect_from_choices
from tests.formats.ui.drawing import Sketch, convert

NOON = datetime(2024, 3, 7, 9, 5, 2, tzinfo=UTC)


def saved_as(pattern: str, *, now: datetime = NOON, kind: str = "SaveImage") -> Any:
    sketch = Sketch().node(1, "KSampler", [5, "fixed", 11, 3.5], properties={"Node name for S&R": "Kay"})
    sketch.node(2, "CLIPTextEncode", ["a/b:c"], title="My text").node(3, "EmptyLatentImage")
    return convert(sketch.node(9, kind, [pattern]).file(), now=now)["9"]["inputs"]["filename_prefix"]


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("%date:yyyy-MM-dd%", "2024-03-07"),
        ("%date:yy.M.d hh:mm:ss h-m-s%", "24.3.7 09:05:02 9-5-2"),
        ("out/%date:yyyy%/x", "out/2024/x"),
        ("%Kay.steps%_%Kay.cfg%", "11_3.5"),
        ("%My text.text%", "a_b_c"),
        ("%EmptyLatentImage.width%", "512"),
        ("%width%x%height%_%year%", "%width%x%height%_%year%"),
        ("%Kay.nothing%_%Nobody.text%_100%", "%Kay.nothing%_%Nobody.text%_100%"),
    ],
)
def test_patterns_of_file_names(pattern: str, name: str) -> None:
    assert saved_as(pattern) == name


@pytest.mark.parametrize("day", [datetime(2031, 12, 25, tzinfo=UTC), datetime(1999, 1, 1, tzinfo=UTC)])
def test_dates_follow_the_clock_given(day: datetime) -> None:
    assert saved_as("%date:yyyyMMdd%", now=day) == day.strftime("%Y%m%d")


@pytest.mark.parametrize(("value", "text"), [(True, "true"), (2.0, "2"), (0.25, "0.25")])
def test_values_are_spelt_as_in_json(value: object, text: str) -> None:
    assert fill_file_name("%A.b%", NOON, lambda node, widget: value) == text


def drawn(text: str, seed: int = 0) -> Any:
    return convert(Sketch().node(1, "CLIPTextEncode", [text]).file(), seed=seed)["1"]["inputs"]["text"]


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("plain, (weighted:1.2)", "plain, (weighted:1.2)"),
        ("a // the rest goes\nb", "a \nb"),
        ("a /* this\ngoes */b", "a b"),
        ("{only}", "only"),
        ("{nest {in}}", "nest in"),
        (r"\{kept\} \| {a\|a}", "{kept} | a|a"),
        (r"back\slash", r"back\slash"),
        ("}{open", "}open"),
        ("", ""),
    ],
)
def test_dynamic_prompts(written: str, sent: str) -> None:
    assert drawn(written) == sent


def test_one_choice_is_drawn_and_the_seed_fixes_it() -> None:
    text = "a {red|green|{light |dark }blue} hat"
    options = {f"a {colour} hat" for colour in ("red", "green", "light blue", "dark blue")}
    assert {drawn(text, seed) for seed in range(60)} == options
    assert drawn(text, 7) == drawn(text, 7)


def test_choices_nested_without_end_are_refused() -> None:
    with pytest.raises(DocumentError) as caught:
        drawn("{" * 500)
    assert caught.value.code == "dynamic-prompt-too-deep"


@given(st.text(alphabet="ab {}|/*\n:", max_size=40))
def test_protected_texts_come_back_as_they_were(text: str) -> None:
    assert choose_dynamically(protect_from_choices(text), Random(0)) == text
