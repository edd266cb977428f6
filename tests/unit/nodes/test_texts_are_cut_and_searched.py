"""Nodes that cut, compare and search texts."""

from __future__ import annotations

import pytest

from graphcore import InputError
from nodes.texts.editing import (
    case_converter,
    string_compare,
    string_contains,
    string_substring,
    string_trim,
)
from nodes.texts.patterns import regex_extract, regex_match, regex_replace


def test_substring_counts_as_python_does() -> None:
    assert string_substring("lighthouse", 5, 10) == "house"
    assert string_substring("lighthouse", -5, 100) == "house"
    assert string_substring("lighthouse", 7, 3) == ""


def test_trim() -> None:
    assert [string_trim(" a\n", mode) for mode in ("Both", "Left", "Right")] == ["a", "a\n", " a"]


def test_case() -> None:
    modes = ("UPPERCASE", "lowercase", "Capitalize", "Title Case")
    assert [case_converter("a Red fox", mode) for mode in modes] == [
        "A RED FOX",
        "a red fox",
        "A red fox",
        "A Red Fox",
    ]


def test_contains_and_compare() -> None:
    assert string_contains("A Fox", "Fox")
    assert not string_contains("A Fox", "fox")
    assert string_contains("A Fox", "fox", case_sensitive=False)
    assert string_compare("straße", "STRASSE", "Equal", case_sensitive=False)
    assert string_compare("a fox", "a", "Starts With")
    assert string_compare("a fox", "x", "Ends With")
    assert not string_compare("a fox", "A", "Starts With")


def test_match() -> None:
    assert regex_match("a red FOX", r"fox\b")
    assert not regex_match("a red FOX", r"fox\b", case_insensitive=False)
    assert regex_match("one\ntwo", "^two$", multiline=True)
    assert regex_match("one\ntwo", "one.two", dotall=True)


@pytest.mark.parametrize(
    ("mode", "group", "found"),
    [
        ("First Match", 1, "a=1"),
        ("All Matches", 1, "a=1\nb=22"),
        ("First Group", 2, "1"),
        ("All Groups", 2, "1\n22"),
        ("All Groups", 9, ""),
        ("First Group", 0, "a=1"),
    ],
)
def test_extract(mode: str, group: int, found: str) -> None:
    assert regex_extract("a=1, b=22", r"(\w)=(\d+)", mode, group_index=group) == found  # type: ignore[arg-type]


def test_extract_of_nothing_is_empty() -> None:
    assert regex_extract("abc", r"\d", "First Match") == ""
    assert regex_extract("ab", r"(x)?b", "First Group") == ""


def test_replace() -> None:
    assert regex_replace("a1 b2 c3", r"([a-z])(\d)", r"\2\1") == "1a 2b 3c"
    assert regex_replace("a1 b2 c3", r"\d", "", count=2) == "a b c3"
    assert regex_replace("abc", "", "-") == "-a-b-c-"


@pytest.mark.parametrize("pattern", ["(", "[", "(?P<a", "*", "a{2,1}", "x" * 20_000])
def test_what_is_no_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(InputError) as caught:
        regex_match("abc", pattern)
    assert caught.value.code == "bad-pattern"


def test_a_bad_replacement_is_refused() -> None:
    with pytest.raises(InputError) as caught:
        regex_replace("abc", "b", r"\9")
    assert caught.value.code == "bad-pattern"


def test_a_pattern_without_end_is_ended() -> None:
    with pytest.raises(InputError) as caught:
        regex_match("a" * 60 + "!", r"^(a|a|aa)+$|(a+)+b$", case_insensitive=False)
    assert caught.value.code == "pattern-too-slow"


def test_a_result_without_end_is_refused() -> None:
    with pytest.raises(InputError) as caught:
        regex_replace("x" * 5000, r"(?=(.*))", r"\1" * 50)
    assert caught.value.code == "over-budget"
