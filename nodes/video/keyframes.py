"""Schedules over frames, written as Deforum writes them: `0:(1.0), 10:(1.05)`.

Between two keyframes values are interpolated linearly; before the first and after the last they stay. A value may be a
formula of the frame's number `t` (`0:(1 + 0.02 * sin(t / 5))`), which then holds until the next keyframe.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import Final

from graphcore import InputError
from nodes.logic.expressions import evaluate

MAX_KEYFRAMES: Final = 1000
_START: Final = re.compile(r"\s*(\d{1,7})\s*:\s*")
_PROMPT: Final = re.compile(r"\s*(\d{1,7})\s*:\s*(.*)\Z", re.DOTALL)
_NUMBER: Final = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\Z")


@dataclass(frozen=True, slots=True)
class Schedule:
    """Numbers or formulas by frame, in order of the frames."""

    keyframes: tuple[tuple[int, str], ...]

    def at(self, frame: int) -> float:
        """The value at a frame; raises InputError for a formula that has none there."""
        before = [key for key in self.keyframes if key[0] <= frame]
        after = [key for key in self.keyframes if key[0] > frame]
        place, text = before[-1] if before else after[0]
        if not before or not after or not _is_number(text) or not _is_number(after[0][1]):
            return _value(text, frame)
        share = (frame - place) / (after[0][0] - place)
        return float(text) * (1 - share) + float(after[0][1]) * share


@dataclass(frozen=True, slots=True)
class PromptSchedule:
    """Prompts by frame, in order of the frames."""

    keyframes: tuple[tuple[int, str], ...]

    def at(self, frame: int, *, blend: bool) -> tuple[str, str, float]:
        """The prompt at a frame, the one to come, and how far the way to it has been gone (0 without `blend`)."""
        before = [key for key in self.keyframes if key[0] <= frame]
        after = [key for key in self.keyframes if key[0] > frame]
        place, text = before[-1] if before else after[0]
        if not blend or not before or not after:
            return text, text, 0.0
        return text, after[0][1], (frame - place) / (after[0][0] - place)


def read_schedule(text: str, name: str) -> Schedule:
    """A schedule of numbers; a plain number or formula holds for all frames. InputError says what is wrong where."""
    text = text.strip()
    if not text:
        raise _wrong(name, "is empty")
    if not _START.match(text):
        _value(text, 0)
        return Schedule(((0, text),))
    found: dict[int, str] = {}
    while text:
        start = _START.match(text)
        if start is None or len(found) >= MAX_KEYFRAMES:
            raise _wrong(name, f"cannot be read at '{text[:20]}'")
        value, text = _cut(text[start.end() :], name)
        _value(value, int(start[1]))
        found[int(start[1])] = value
    return Schedule(tuple(sorted(found.items())))


def read_prompts(text: str) -> PromptSchedule:
    """A schedule of prompts: one a line as `10: a house`, or a JSON object; a plain text holds for all frames."""
    stripped = text.strip()
    if stripped.startswith("{"):
        return PromptSchedule(tuple(sorted(_from_json(stripped).items())))
    lines = [line for line in stripped.splitlines() if line.strip()]
    if not lines or not _PROMPT.match(lines[0]):
        return PromptSchedule(((0, stripped),))
    found: dict[int, str] = {}
    last = 0
    for line in lines:
        match = _PROMPT.match(line)
        if match is not None:
            last = int(match[1])
            found[last] = match[2].strip()
        else:
            found[last] += f" {line.strip()}"
    return PromptSchedule(tuple(sorted(found.items())))


def _from_json(text: str) -> dict[int, str]:
    try:
        said = json.loads(text)
        found = {int(frame): str(prompt) for frame, prompt in said.items()}
    except (ValueError, AttributeError, RecursionError) as error:
        raise _wrong("prompts", "is no JSON object of frames and texts") from error
    if not found or min(found) < 0:
        raise _wrong("prompts", "names no frame")
    return found


def _cut(text: str, name: str) -> tuple[str, str]:
    """The value at the start of a text, in brackets or up to the next comma, and what follows it."""
    if not text.startswith("("):
        value, _, rest = text.partition(",")
        return value.strip(), rest.strip()
    depth = 0
    for place, character in enumerate(text):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if depth == 0:
            rest = text[place + 1 :].strip()
            if rest and not rest.startswith(","):
                raise _wrong(name, f"needs a comma before '{rest[:20]}'")
            return text[1:place].strip(), rest[1:].strip()
    raise _wrong(name, "has a bracket that is not closed")


def _is_number(text: str) -> bool:
    return _NUMBER.match(text) is not None


def _value(text: str, frame: int) -> float:
    value = float(text) if _is_number(text) else float(evaluate(text, {"t": frame}))
    if not math.isfinite(value):
        raise InputError(
            f"The value '{text[:40]}' is not finite at frame {frame}; correct it.", code="bad-keyframes"
        )
    return value


def _wrong(name: str, what: str) -> InputError:
    return InputError(
        f"The schedule of '{name}' {what}; write keyframes as 0:(1.0), 10:(1.05).", code="bad-keyframes"
    )
