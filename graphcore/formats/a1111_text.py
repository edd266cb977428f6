"""A1111's `parameters` text, taken apart: prompt, negative prompt and settings.

The text is the prompt, a line `Negative prompt: ...` and a line `Steps: 20, Sampler: DPM++ 2M Karras, ...`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from graphcore.errors import DocumentError

MAX_CHARACTERS = 2**20
NEGATIVE = "Negative prompt:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """The three parts of the text; `settings` has its names in lower case."""

    prompt: str
    negative: str
    settings: Mapping[str, str]

    def whole(self, name: str, default: int | None = None) -> int:
        """A setting that is a whole number."""
        text = self.settings.get(name, "")
        if re.fullmatch(r"-?[0-9]{1,19}", text):
            return int(text)
        if text or default is None:
            raise _bad(name, text, "a whole number")
        return default

    def number(self, name: str, default: float) -> float:
        """A setting that is a number."""
        text = self.settings.get(name, "")
        if re.fullmatch(r"-?[0-9]{1,9}(\.[0-9]{1,18})?", text):
            return float(text)
        if text:
            raise _bad(name, text, "a number")
        return default

    def size(self, name: str) -> tuple[int, int] | None:
        """A setting of the form 512x768: width and height in pixels."""
        text = self.settings.get(name, "")
        match = re.fullmatch(r"([0-9]{1,6})x([0-9]{1,6})", text)
        if match:
            return int(match[1]), int(match[2])
        if text:
            raise _bad(name, text, "a size such as 512x768")
        return None


def read_parameters(text: str) -> Parameters:
    """Take the text apart. Raises DocumentError: `not-a1111-parameters`, `document-too-large`."""
    if len(text) > MAX_CHARACTERS:
        raise DocumentError(
            f"The parameters have more than {MAX_CHARACTERS} characters.", code="document-too-large"
        )
    lines = text.strip().splitlines()
    last = next((index for index in reversed(range(len(lines))) if lines[index].startswith("Steps:")), None)
    if last is None:
        raise DocumentError(
            'The text is not A1111 parameters: it has no line that begins with "Steps:".',
            code="not-a1111-parameters",
        )
    first = next((index for index, line in enumerate(lines[:last]) if line.startswith(NEGATIVE)), last)
    return Parameters(
        prompt="\n".join(lines[:first]).strip(),
        negative="\n".join(lines[first:last]).removeprefix(NEGATIVE).strip(),
        settings=_settings(" ".join(lines[last:])),
    )


def _settings(line: str) -> dict[str, str]:
    """`Name: value` pairs between commas; a value in double quotes may hold commas."""
    settings: dict[str, str] = {}
    for part in _split(line):
        name, colon, value = part.partition(":")
        value = value.strip()
        if colon and name.strip():
            settings[name.strip().lower()] = _unquoted(value)
    return settings


def _split(line: str) -> list[str]:
    parts: list[str] = []
    start, quoted, escaped = 0, False, False
    for position, character in enumerate(line):
        if escaped:
            escaped = False
        elif character == "\\" and quoted:
            escaped = True
        elif character == '"':
            quoted = not quoted
        elif character == "," and not quoted:
            parts.append(line[start:position])
            start = position + 1
    return [*parts, line[start:]]


def _unquoted(value: str) -> str:
    if len(value) < 2 or value[0] != '"' or value[-1] != '"':
        return value
    try:
        text = json.loads(value)
    except ValueError:
        return value[1:-1]
    return text if isinstance(text, str) else value


def _bad(name: str, text: str, wanted: str) -> DocumentError:
    return DocumentError(f'The setting "{name}" is {text!r}, not {wanted}.', code="bad-a1111-setting")
