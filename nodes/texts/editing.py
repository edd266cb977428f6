"""Nodes that cut, compare and change texts."""

from __future__ import annotations

from typing import Annotated, Literal

from graphcore import OutputName, Text, node

CATEGORY = "text"
Long = Annotated[str, Text()]


@node("StringSubstring", category=CATEGORY, title="Substring")
def string_substring(string: Long, start: int, end: int) -> str:
    """The characters from `start` up to `end`; negative places count from the end."""
    return string[start:end]


@node("StringTrim", category=CATEGORY, title="Trim")
def string_trim(string: Long, mode: Literal["Both", "Left", "Right"]) -> str:
    """A text without white space at its ends."""
    return {"Both": string.strip, "Left": string.lstrip, "Right": string.rstrip}[mode]()


@node("CaseConverter", category=CATEGORY, title="Case Converter")
def case_converter(string: Long, mode: Literal["UPPERCASE", "lowercase", "Capitalize", "Title Case"]) -> str:
    """A text in capitals, in small letters, with a capital at its beginning, or with one at each word's."""
    convert = {
        "UPPERCASE": string.upper,
        "lowercase": string.lower,
        "Capitalize": string.capitalize,
        "Title Case": string.title,
    }
    return convert[mode]()


@node("StringContains", category=CATEGORY, title="Contains")
def string_contains(
    string: Long, substring: Long, case_sensitive: bool = True
) -> Annotated[bool, OutputName("contains")]:
    """Whether a text has another in it."""
    if case_sensitive:
        return substring in string
    return substring.casefold() in string.casefold()


@node("StringCompare", category=CATEGORY, title="Compare")
def string_compare(
    string_a: Long,
    string_b: Long,
    mode: Literal["Starts With", "Ends With", "Equal"],
    case_sensitive: bool = True,
) -> bool:
    """Whether a text begins with another, ends with it, or equals it."""
    first, second = (string_a, string_b) if case_sensitive else (string_a.casefold(), string_b.casefold())
    if mode == "Equal":
        return first == second
    return first.startswith(second) if mode == "Starts With" else first.endswith(second)
