"""Text that the editor rewrites when it sends a prompt: dynamic prompts and file name patterns."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from random import Random

from graphcore.errors import DocumentError

MAX_CHOICE_DEPTH = 64
COMMENT_START = re.compile(r"//|/\*")
LINE_COMMENT = re.compile(r"//[^\n\r]*")
LINE_END = re.compile(r"[\n\r]")
PATTERN = re.compile(r"%([^%]+)%")
UNFIT_FOR_FILES = re.compile(r'[/?<>\\:*|"\x00-\x1f\x7f]')
DATE_PART = re.compile(r"dd?|MM?|hh?|mm?|ss?|yyy?y?")


def choose_dynamically(text: str, random: Random, *, depth: int = 0) -> str:
    """Drop comments, and replace every `{a|b}` by one of its choices, drawn with `random`.

    Choices may hold further choices; a backslash keeps a brace or a bar as it is.
    Raises DocumentError (`dynamic-prompt-too-deep`).
    """
    if depth > MAX_CHOICE_DEPTH:
        raise DocumentError(
            f"A dynamic prompt nests its choices deeper than {MAX_CHOICE_DEPTH} levels.",
            code="dynamic-prompt-too-deep",
        )
    text = _without_comments(text)
    parts: list[str] = []
    position = 0
    while position < len(text):
        character = text[position]
        if character == "\\":
            parts.append(text[position : position + 2])
            position += 2
        elif character == "{":
            choices, position = _read_choices(text, position + 1)
            parts.append(choose_dynamically(random.choice(choices), random, depth=depth + 1))
        else:
            parts.append(character)
            position += 1
    return re.sub(r"\\([{}|])", r"\1", "".join(parts))


def protect_from_choices(text: str) -> str:
    """Write `text` so that choose_dynamically gives it back.

    Braces and bars get a backslash; an empty choice parts the two characters that would begin a comment. A
    backslash right before a brace or a bar, or at the end, cannot be written so and stays as it is.
    """
    protected = re.sub(r"([{}|])", r"\\\1", text)
    return re.sub(r"/(?=[/*])", "/{}", protected)


def _without_comments(text: str) -> str:
    """Without `/* ... */`, and without `//` up to the end of the line."""
    parts: list[str] = []
    kept, position = 0, 0
    while match := COMMENT_START.search(text, position):
        position = match.end()
        if match[0] == "//":
            line_end = LINE_END.search(text, position)
            end = line_end.start() if line_end else len(text)
        else:
            end = text.find("*/", position) + 2
            if end < position:
                return "".join([*parts, LINE_COMMENT.sub("", text[kept:])])
        parts.append(text[kept : match.start()])
        kept = position = end
    return "".join([*parts, text[kept:]])


def _read_choices(text: str, position: int) -> tuple[list[str], int]:
    """The choices from `position` to the closing brace, and the place after it."""
    choices: list[str] = []
    depth, start = 0, position
    while position < len(text):
        character = text[position]
        if character == "\\":
            position += 2
            continue
        if character == "}" and depth == 0:
            return [*choices, text[start:position]], position + 1
        if character == "|" and depth == 0:
            choices.append(text[start:position])
            start = position + 1
        depth += {"{": 1, "}": -1}.get(character, 0)
        position += 1
    return [*choices, text[start:]], len(text)


def fill_file_name(text: str, now: datetime, look_up: Callable[[str, str], object]) -> str:
    """Fill in `%date:FORMAT%` and `%Node name.widget%`.

    `look_up` gives the value of a node's widget, or None without one; other patterns stay as they are.
    """

    def replacement(match: re.Match[str]) -> str:
        parts = match[1].split(".")
        if len(parts) != 2:
            return _format_date(match[1][5:], now) if parts[0].startswith("date:") else match[0]
        value = look_up(parts[0], parts[1])
        return match[0] if value is None else UNFIT_FOR_FILES.sub("_", _as_text(value))

    return PATTERN.sub(replacement, text)


def _format_date(pattern: str, now: datetime) -> str:
    numbers = {"d": now.day, "M": now.month, "h": now.hour, "m": now.minute, "s": now.second}

    def part(match: re.Match[str]) -> str:
        token = match[0]
        if token[0] == "y":
            return {"yy": f"{now.year % 100:02d}", "yyyy": str(now.year)}.get(token, token)
        return str(numbers[token[0]]).zfill(len(token))

    return DATE_PART.sub(part, pattern)


def _as_text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
