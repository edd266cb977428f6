"""A1111's `parameters` text, taken apart: prompt, negative prompt and settings.

The text is the prompt, a line `Negative prompt: ...` and a line `Steps: 20, Sampler: DPM++ 2M Karras, ...`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from graphcore.errors import DocumentError

MAX_CHARACTERS: Final = 2**20
NEGATIVE: Final = "Negative prompt:"
_SETTINGS: Final = re.compile(r"(?:^|\s)(Steps: ?[0-9]+,)")
_NAME: Final = re.compile(r"\s*([^:,\"\[\]{}]{1,100}):[ \t]*")
_PLAIN: Final = re.compile(r"[^,]*")


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
        if re.fullmatch(r"-?([0-9]{1,9}(\.[0-9]{0,18})?|\.[0-9]{1,18})", text):
            return float(text)
        if text:
            raise _bad(name, text, "a number")
        return default

    def size(self, name: str) -> tuple[int, int] | None:
        """A setting of the form 512x768: width and height in pixels."""
        text = self.settings.get(name, "")
        match = re.fullmatch(r"([0-9]{1,6}) ?x ?([0-9]{1,6})", text)
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
    last = next(
        (index for index in reversed(range(len(lines))) if lines[index].lstrip().startswith("Steps:")), None
    )
    if last is None:
        return _on_one_line(text)
    first = next((index for index, line in enumerate(lines[:last]) if line.startswith(NEGATIVE)), last)
    return Parameters(
        prompt="\n".join(lines[:first]).strip(),
        negative="\n".join(lines[first:last]).removeprefix(NEGATIVE).strip(),
        settings=dict(_settings(" ".join(lines[last:]))),
    )


def _on_one_line(text: str) -> Parameters:
    """Texts that lost their line ends on the way."""
    starts = list(_SETTINGS.finditer(text))
    if not starts:
        raise DocumentError(
            'The text is not A1111 parameters: it has no line that begins with "Steps:".',
            code="not-a1111-parameters",
        )
    start = starts[-1].start(1)
    prompt, _, negative = text[:start].partition(NEGATIVE)
    return Parameters(
        prompt=prompt.strip(), negative=negative.strip(), settings=dict(_settings(text[start:]))
    )


def _settings(line: str) -> Iterator[tuple[str, str]]:
    """`Name: value` pairs between commas; a value in double quotes, and one that is JSON, may hold commas."""
    position = 0
    while position < len(line):
        name = _NAME.match(line, position)
        if name is None:
            position = _end_of_plain(line, position)
            continue
        value, position = _value(line, name.end())
        yield name[1].strip().lower(), value


def _value(line: str, position: int) -> tuple[str, int]:
    """A value and the place behind the comma after it."""
    if line[position : position + 1] in ('"', "[", "{"):
        try:
            value, end = json.JSONDecoder(strict=False).raw_decode(line, position)
        except (ValueError, RecursionError):
            pass
        else:
            after = _PLAIN.match(line, end)
            if after is not None and not after[0].strip():
                text = value if isinstance(value, str) else line[position:end]
                return text, after.end() + 1
    end = _end_of_plain(line, position)
    return _unquoted(line[position : end - 1 if end <= len(line) else end].strip()), end


def _end_of_plain(line: str, position: int) -> int:
    """The place behind the next comma that is not inside double quotes."""
    quoted = False
    while position < len(line):
        character = line[position]
        position += 1
        if character == "\\" and quoted:
            position += 1
        elif character == '"':
            quoted = not quoted
        elif character == "," and not quoted:
            return position
    return len(line) + 1


def _unquoted(value: str) -> str:
    return value[1:-1] if len(value) >= 2 and value[0] == value[-1] == '"' else value


def _bad(name: str, text: str, wanted: str) -> DocumentError:
    return DocumentError(f'The setting "{name}" is {text!r}, not {wanted}.', code="bad-a1111-setting")
