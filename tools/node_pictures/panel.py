"""An example as one small picture: what goes in at the left, an arrow, and what comes out at the right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from PIL import Image, ImageDraw, ImageStat

SIDE: Final = 128
GAP: Final = 16
SPACE: Final = 4
SECOND: Final = 64
_GREY: Final = (128, 134, 142, 255)
_CURVE: Final = (58, 130, 206, 255)
_PAPER: Final = (250, 250, 251, 255)
_FINE: Final = 4


def panel(before: Sequence[Image.Image], after: Sequence[Image.Image]) -> Image.Image:
    """The whole picture (RGBA, with nothing behind it)."""
    if not before:
        return _cell(after)
    scale = None
    if len(before) == len(after) == 1:
        scale = min(1.0, SIDE / max(*before[0].size, *after[0].size))
    whole = Image.new("RGBA", (2 * SIDE + GAP, SIDE))
    whole.alpha_composite(_cell(before, scale), (0, 0))
    whole.alpha_composite(_arrow(), (SIDE, (SIDE - GAP) // 2))
    whole.alpha_composite(_cell(after, scale), (SIDE + GAP, 0))
    return whole


def curve(sigmas: Sequence[float], most: float) -> Image.Image:
    """A schedule as a curve: step by step from left to right, noise upwards, `most` at the top."""
    side = SIDE * _FINE
    drawn = Image.new("RGBA", (side, side), _PAPER)
    pen = ImageDraw.Draw(drawn)
    edge, inner = 8 * _FINE, side - 16 * _FINE
    pen.line([(edge, edge), (edge, side - edge), (side - edge, side - edge)], fill=_GREY, width=_FINE)
    last = max(1, len(sigmas) - 1)
    points = [
        (edge + inner * index / last, side - edge - inner * value / most)
        for index, value in enumerate(sigmas)
    ]
    pen.line(points, fill=_CURVE, width=2 * _FINE, joint="curve")
    for x, y in points:
        pen.ellipse((x - 2 * _FINE, y - 2 * _FINE, x + 2 * _FINE, y + 2 * _FINE), fill=_CURVE)
    return drawn.reduce(_FINE)


def waves(channels: Sequence[Sequence[float]], seconds: float) -> Image.Image:
    """A sound as it goes up and down, channel below channel; its width is its length."""
    width, height = max(8, round(seconds * SECOND)), SIDE // 2
    drawn = Image.new("RGBA", (width, height), _PAPER)
    pen = ImageDraw.Draw(drawn)
    row = height / len(channels)
    for index, samples in enumerate(channels):
        middle = row * (index + 0.5)
        for x in range(width):
            here = samples[len(samples) * x // width : len(samples) * (x + 1) // width] or (0.0,)
            ends = [middle - max(-1.0, min(1.0, value)) * (row / 2 - 1) for value in (max(here), min(here))]
            pen.line([(x, ends[0]), (x, ends[1])], fill=_CURVE)
    return drawn


def _cell(pictures: Sequence[Image.Image], scale: float | None = None) -> Image.Image:
    """Pictures in a square: one alone, two above each other, more in rows."""
    columns = 1 if len(pictures) <= 2 else 2 if len(pictures) <= 4 else 3
    rows = -(-len(pictures) // columns)
    room = (SIDE - (max(columns, rows) - 1) * SPACE) // max(columns, rows)
    square = Image.new("RGBA", (SIDE, SIDE))
    left = (SIDE - columns * room - (columns - 1) * SPACE) // 2
    top = (SIDE - rows * room - (rows - 1) * SPACE) // 2
    for index, picture in enumerate(pictures[: columns * rows]):
        shown = _fitted(picture, room, scale)
        x = left + (index % columns) * (room + SPACE) + (room - shown.width) // 2
        y = top + (index // columns) * (room + SPACE) + (room - shown.height) // 2
        square.alpha_composite(shown, (x, y))
    return square


def _fitted(picture: Image.Image, room: int, scale: float | None) -> Image.Image:
    """A picture in its place, over squares where one sees through it."""
    factor = scale if scale is not None else min(1.0, room / max(picture.size))
    size = (max(1, round(picture.width * factor)), max(1, round(picture.height * factor)))
    shown = picture.convert("RGBA")
    if size != shown.size:
        shown = shown.resize(size, Image.Resampling.LANCZOS)
    if ImageStat.Stat(shown).extrema[3][0] == 255:
        return shown
    squares = Image.new("RGBA", size, (255, 255, 255, 255))
    pen = ImageDraw.Draw(squares)
    for x in range(0, size[0], 8):
        for y in range(0, size[1], 8):
            if (x + y) // 8 % 2:
                pen.rectangle((x, y, x + 7, y + 7), fill=(205, 208, 212, 255))
    squares.alpha_composite(shown)
    return squares


def _arrow() -> Image.Image:
    side = GAP * _FINE
    drawn = Image.new("RGBA", (side, side))
    pen = ImageDraw.Draw(drawn)
    middle = side // 2
    pen.polygon([(side * 0.25, side * 0.15), (side * 0.8, middle), (side * 0.25, side * 0.85)], fill=_GREY)
    return drawn.reduce(_FINE)
