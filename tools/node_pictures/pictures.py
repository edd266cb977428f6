"""What a run gave, as pictures: images and masks as they are, schedules and sounds as curves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from PIL import Image as Picture
from PIL import ImageChops, ImageDraw, ImageStat

from nodes.values import Audio, Image, Mask, Sigmas
from tools.node_pictures.example import AFTER, BEFORE
from tools.node_pictures.panel import curve, panel, waves

MOST: Final = 9
LEAST_DIFFERENCE: Final = 1.5
_COLUMNS: Final = 5
_CELL: Final = (284, 150)


def picture_of(outputs: Mapping[str, object]) -> Picture.Image | None:
    """The example picture from the outputs of an example's run, or None if nobody could see what changed."""
    sides = {
        side: [value for name, value in outputs.items() if name.startswith(side)] for side in (BEFORE, AFTER)
    }
    most = max(
        (float(value.values.max()) for value in _flat(outputs.values()) if isinstance(value, Sigmas)),
        default=1.0,
    )
    before, after = (
        [picture for value in _flat(sides[side]) for picture in _pictures(value, most)][:MOST]
        for side in (BEFORE, AFTER)
    )
    drawn = any(isinstance(value, Sigmas | Audio) for value in _flat(outputs.values()))
    return None if _alike(before, after) and not drawn else panel(before, after)


def sheet(pictures: Mapping[str, Path]) -> Picture.Image:
    """Pictures with their names, to be looked at."""
    rows = -(-len(pictures) // _COLUMNS)
    whole = Picture.new("RGB", (_COLUMNS * _CELL[0], rows * _CELL[1]), "white")
    pen = ImageDraw.Draw(whole)
    for index, (name, path) in enumerate(pictures.items()):
        x, y = index % _COLUMNS * _CELL[0], index // _COLUMNS * _CELL[1]
        with Picture.open(path) as opened:
            picture = opened.convert("RGBA")
        whole.paste(picture, (x + 4, y + 16), picture)
        pen.text((x + 4, y + 2), name, fill="black")
    return whole


def _alike(before: Sequence[Picture.Image], after: Sequence[Picture.Image]) -> bool:
    if not len(before) == len(after) == 1 or before[0].size != after[0].size:
        return False
    difference = ImageChops.difference(before[0].convert("RGB"), after[0].convert("RGB"))
    return sum(ImageStat.Stat(difference).mean) / 3 < LEAST_DIFFERENCE


def _flat(values: Iterable[object]) -> Iterator[object]:
    for value in values:
        if isinstance(value, (list, tuple)):
            yield from _flat(value)
        else:
            yield value


def _pictures(value: object, most: float) -> Iterator[Picture.Image]:
    if isinstance(value, Image):
        for pixels in value.pixels.clamp(0, 1).mul(255).round().byte().numpy():
            yield Picture.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    elif isinstance(value, Mask):
        for plane in value.values.clamp(0, 1).mul(255).round().byte().numpy():
            yield Picture.fromarray(plane)
    elif isinstance(value, Sigmas):
        yield curve([float(sigma) for sigma in value.values], most)
    elif isinstance(value, Audio):
        yield waves(value.waveform.tolist(), value.waveform.shape[-1] / value.sample_rate)
