"""Prompts: weights in brackets, and text cut into the chunks that CLIP reads.

    "a (red:1.3) cat BREAK night" ──parse──> segments with weights ──chunked──> rows of 77 tokens with weights

Two conventions. "comfy": `(x)` is 1.1 times, `(x:1.3)` is 1.3 whatever stands around it, `\\(` and `\\)` are brackets;
words are moved whole to the next chunk. "a1111": `(x:1.3)` multiplies with what stands around it, `[x]` divides by
1.1, and chunks are cut at a comma where there is one near. `BREAK` begins a new chunk in both. No torch is needed here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from graphcore.errors import InputError

Style = Literal["comfy", "a1111"]

STEP = 1.1
MAX_DEPTH = 200
MAX_WEIGHT = 1e4
WHOLE_WORD = 8
COMMA_REACH = 20
OPEN, CLOSE = "\ufdd0", "\ufdd1"
_BREAK = re.compile(r"\bBREAK\b")
_EMBEDDING = re.compile(r"(?:^|(?<=\s))embedding:(\S+)")


@dataclass(frozen=True, slots=True)
class Segment:
    """Text of one weight; `embedding` says that it is the name of a textual-inversion embedding.

    `breaks`: a new chunk begins before it.
    """

    text: str
    weight: float = 1.0
    embedding: bool = False
    breaks: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Vector:
    """A vector in the place of a token: row `row` of `source`, a tensor (rows, width)."""

    source: object
    row: int


Token = int | Vector


@dataclass(frozen=True, slots=True)
class Group:
    """Tokens that belong together, of one weight."""

    tokens: tuple[Token, ...]
    weight: float = 1.0
    breaks: bool = False


@dataclass(frozen=True, slots=True)
class Chunk:
    """One row that the text encoder reads: `tokens` and `weights` have its full length."""

    tokens: tuple[Token, ...]
    weights: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkShape:
    """The tokens that frame a chunk: its start, its end, what fills it up, and its length with all of them."""

    start: int
    end: int
    pad: int
    length: int = 77


def parse(text: str, style: Style = "comfy") -> tuple[Segment, ...]:
    """The segments of a prompt, in order. Raises InputError if brackets are nested more than 200 deep."""
    weighted = _weighted_comfy(text) if style == "comfy" else _weighted_a1111(text)
    return tuple(segment for part in weighted for segment in _split(part))


def _weighted_comfy(text: str) -> list[Segment]:
    plain = text.replace(OPEN, "").replace(CLOSE, "").replace("\\(", OPEN).replace("\\)", CLOSE)
    found: list[Segment] = []
    waiting: list[tuple[str, float, int | None]] = [(plain, 1.0, 0)]
    while waiting:
        piece, weight, depth = waiting.pop()
        if depth is None:
            found.append(Segment(piece.replace(OPEN, "(").replace(CLOSE, ")"), weight))
            continue
        if depth > MAX_DEPTH:
            raise InputError(f"The prompt nests brackets more than {MAX_DEPTH} deep; take some away.")
        for item in reversed(_top_level(piece)):
            if len(item) >= 2 and item[0] == "(" and item[-1] == ")":
                waiting.append((*_explicit_weight(item[1:-1], weight * STEP), depth + 1))
            else:
                waiting.append((item, weight, None))
    return found


def _top_level(text: str) -> list[str]:
    items: list[str] = []
    depth = start = 0
    for place, character in enumerate(text):
        if character == "(":
            if depth == 0 and place > start:
                items.append(text[start:place])
                start = place
            depth += 1
        elif character == ")":
            depth -= 1
            if depth == 0:
                items.append(text[start : place + 1])
                start = place + 1
    if start < len(text):
        items.append(text[start:])
    return items


def _explicit_weight(inner: str, otherwise: float) -> tuple[str, float]:
    place = inner.rfind(":")
    if place > 0:
        try:
            weight = float(inner[place + 1 :])
        except ValueError:
            return inner, otherwise
        if math.isfinite(weight):
            return inner[:place], _bounded(weight)
    return inner, otherwise


def _bounded(weight: float) -> float:
    if abs(weight) > MAX_WEIGHT:
        raise InputError(f"The weight {weight:g} in the prompt is beyond {MAX_WEIGHT:g}; weights are near 1.")
    return weight


_A1111_TOKEN = re.compile(r"\\[()\[\]\\]|:\s*([+-]?\d*\.?\d+)\s*\)|[()\[\]]|[^\\()\[\]:]+|[\\:]")


def _weighted_a1111(text: str) -> list[Segment]:
    texts: list[str] = []
    weights: list[float] = []
    open_round: list[int] = []
    open_square: list[int] = []

    def multiply(start: int, factor: float) -> None:
        for index in range(start, len(weights)):
            weights[index] *= factor

    for match in _A1111_TOKEN.finditer(text):
        token = match.group()
        if len(open_round) + len(open_square) > MAX_DEPTH:
            raise InputError(f"The prompt nests brackets more than {MAX_DEPTH} deep; take some away.")
        if token == "(":
            open_round.append(len(weights))
        elif token == "[":
            open_square.append(len(weights))
        elif match.group(1) and open_round:
            multiply(open_round.pop(), _bounded(float(match.group(1))))
        elif token == ")" and open_round:
            multiply(open_round.pop(), STEP)
        elif token == "]" and open_square:
            multiply(open_square.pop(), 1 / STEP)
        else:
            texts.append(token[1:] if token[0] == "\\" and len(token) == 2 else token)
            weights.append(1.0)
    for start in open_round:
        multiply(start, STEP)
    for start in open_square:
        multiply(start, 1 / STEP)
    return _joined([Segment(text, weight) for text, weight in zip(texts, weights, strict=True)])


def _joined(segments: list[Segment]) -> list[Segment]:
    joined: list[Segment] = []
    for segment in segments:
        if joined and joined[-1].weight == segment.weight:
            joined[-1] = replace(joined[-1], text=joined[-1].text + segment.text)
        else:
            joined.append(segment)
    return joined


def _split(segment: Segment) -> Iterable[Segment]:
    for number, text in enumerate(_BREAK.split(segment.text)):
        breaks = number > 0
        for piece in _split_embeddings(text):
            yield replace(piece, weight=segment.weight, breaks=breaks)
            breaks = False
        if breaks:
            yield Segment("", segment.weight, breaks=True)


def _split_embeddings(text: str) -> Iterable[Segment]:
    end = 0
    for match in _EMBEDDING.finditer(text):
        if text[end : match.start()].strip():
            yield Segment(text[end : match.start()])
        name = match.group(1).rstrip(",")
        yield Segment(name, embedding=True)
        end = match.start(1) + len(name)
    if text[end:].strip():
        yield Segment(text[end:])


def chunked(
    groups: Sequence[Group],
    shape: ChunkShape,
    *,
    style: Style = "comfy",
    is_comma: Callable[[Token], bool] = lambda token: False,
) -> tuple[Chunk, ...]:
    """Cut groups of tokens into chunks; there is always one, and an empty prompt gives an empty chunk.

    comfy: a group of fewer than eight tokens that does not fit moves whole to the next chunk. a1111: the chunk is
    cut after the last comma if at most 20 tokens follow it.
    """
    writer = _Chunks(shape)
    for group in groups:
        if group.breaks:
            writer.close()
        if style == "comfy":
            writer.add_whole(group)
        else:
            writer.add_each(group, is_comma)
    writer.close(last=True)
    return tuple(writer.chunks)


class _Chunks:
    """Chunks as they are written; `row` is the open one, without its frame."""

    def __init__(self, shape: ChunkShape) -> None:
        self.shape = shape
        self.room = shape.length - 2
        self.chunks: list[Chunk] = []
        self.row: list[tuple[Token, float]] = []
        self.after_comma = 0

    def add_whole(self, group: Group) -> None:
        tokens = [(token, group.weight) for token in group.tokens]
        while len(self.row) + len(tokens) > self.room:
            if len(group.tokens) >= min(WHOLE_WORD, self.room):
                fits = self.room - len(self.row)
                self.row += tokens[:fits]
                tokens = tokens[fits:]
            self.close()
        self.row += tokens

    def add_each(self, group: Group, is_comma: Callable[[Token], bool]) -> None:
        for token in group.tokens:
            if len(self.row) == self.room:
                moved: list[tuple[Token, float]] = []
                if (
                    not is_comma(token)
                    and self.after_comma > 0
                    and self.room - self.after_comma < COMMA_REACH
                ):
                    moved = self.row[self.after_comma :]
                    del self.row[self.after_comma :]
                self.close()
                self.row = moved
            self.row.append((token, group.weight))
            if is_comma(token):
                self.after_comma = len(self.row)

    def close(self, *, last: bool = False) -> None:
        if last and self.chunks and not self.row:
            return
        shape = self.shape
        fill = self.room - len(self.row)
        tokens = (shape.start, *(token for token, _ in self.row), shape.end, *[shape.pad] * fill)
        weights = (1.0, *(weight for _, weight in self.row), 1.0, *[1.0] * fill)
        self.chunks.append(Chunk(tokens, weights))
        self.row = []
        self.after_comma = 0
