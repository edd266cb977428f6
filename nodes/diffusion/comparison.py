"""How two pictures differ: in error, in structure, and where; and sheets of pictures with words beside them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont
from torch import Tensor
from torch.nn import functional

from graphcore.errors import InputError
from nodes.diffusion.picture_batches import joined, worst_verdict
from nodes.diffusion.pictures import to_pillow
from nodes.diffusion.resizing import require_room
from nodes.values import Image

Font = ImageFont.ImageFont | ImageFont.FreeTypeFont
_WINDOW, _SIGMA = 11, 1.5
_C1, _C2 = 0.01**2, 0.03**2
LABEL_CHARACTERS = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Likeness:
    """How alike two pictures are.

    `error` is the mean square of differences in [0, 1], `psnr` the same in decibels (infinite for equal pictures),
    `ssim` the structural similarity (Wang et al. 2004; 1 for equal ones), `changed` the share of pixels that differ.
    """

    error: float
    psnr: float
    ssim: float
    changed: float


def likeness(one: Tensor, other: Tensor) -> Likeness:
    """How alike two pictures (height, width, 3) in [0, 1] are. Raises InputError if their sizes differ."""
    if one.shape != other.shape:
        raise InputError(
            f"The pictures have {one.shape[1]}x{one.shape[0]} and {other.shape[1]}x{other.shape[0]} pixels; scale one "
            "to the other's size.",
            code="picture-shape",
        )
    error = float((one.double() - other.double()).pow(2).mean())
    changed = (one - other).abs().amax(dim=-1) > 0.5 / 255
    return Likeness(
        error=error,
        psnr=math.inf if error == 0 else 10 * math.log10(1 / error),
        ssim=structural_similarity(one, other),
        changed=float(changed.float().mean()),
    )


def structural_similarity(one: Tensor, other: Tensor) -> float:
    """SSIM (Wang et al. 2004) of two pictures (height, width, 3): the mean over all windows and channels."""
    size = min(_WINDOW, *one.shape[:2])
    places = torch.arange(size, dtype=torch.float64) - (size - 1) / 2
    line = torch.exp(-(places**2) / (2 * _SIGMA**2))
    line = line / line.sum()
    window = (line[:, None] * line).expand(3, 1, size, size)
    x, y = (picture.double().movedim(-1, 0)[None] for picture in (one, other))

    def mean(tensor: Tensor) -> Tensor:
        return functional.conv2d(tensor, window, groups=3)

    mean_x, mean_y = mean(x), mean(y)
    spread_x, spread_y = mean(x * x) - mean_x**2, mean(y * y) - mean_y**2
    shared = mean(x * y) - mean_x * mean_y
    top = (2 * mean_x * mean_y + _C1) * (2 * shared + _C2)
    return float((top / ((mean_x**2 + mean_y**2 + _C1) * (spread_x + spread_y + _C2))).mean())


def difference_map(one: Tensor, other: Tensor, gain: float) -> Tensor:
    """Where two pictures differ: `gain` times the absolute difference of each channel, at most 1."""
    return ((one - other).abs() * gain).clamp(0, 1)


def labelled_sheet(
    images: Sequence[Image],
    labels: Sequence[str],
    *,
    columns: int,
    gap: int,
    font_size: int,
    row_labels: Sequence[str] = (),
    column_labels: Sequence[str] = (),
) -> Image:
    """All pictures in one, row by row on white, a label below each, and labels of rows and columns at the edges.

    0 columns make it about square, or as many as there are labels of columns.
    """
    batch = joined(images)
    count, height, width = batch.pixels.shape[:3]
    _require_as_many("labels", labels, count)
    across = columns or len(column_labels) or math.ceil(math.sqrt(count))
    across = min(across, count)
    down = -(-count // across)
    _require_as_many("labels of columns", column_labels, across)
    _require_as_many("labels of rows", row_labels, down)
    font = ImageFont.load_default(size=font_size)
    pen = ImageDraw.Draw(Pillow.new("RGB", (1, 1)))
    below = [_fitted(pen, label, font, width) for label in labels]
    foot = max((_height(pen, text, font) for text in below), default=0)
    head = max((_height(pen, _fitted(pen, text, font, width), font) for text in column_labels), default=0)
    side = max((math.ceil(pen.textlength(text, font=font)) + gap + 4 for text in row_labels), default=0)
    tall = head + (gap if head else 0) + down * (height + foot + gap) - gap
    wide = side + across * (width + gap) - gap
    require_room(1, wide, tall)
    sheet = Pillow.new("RGB", (wide, tall), "white")
    draw = ImageDraw.Draw(sheet)
    for number, picture in enumerate(batch.pixels):
        left = side + number % across * (width + gap)
        top = head + (gap if head else 0) + number // across * (height + foot + gap)
        sheet.paste(to_pillow(picture), (left, top))
        if below:
            draw.multiline_text((left, top + height + 2), below[number], fill="black", font=font)
    for place, text in enumerate(column_labels):
        fitted = _fitted(pen, text, font, width)
        draw.multiline_text((side + place * (width + gap), 0), fitted, fill="black", font=font)
    for place, text in enumerate(row_labels):
        top = head + (gap if head else 0) + place * (height + foot + gap) + height // 2 - font_size // 2
        draw.text((0, top), text, fill="black", font=font)
    return Image(torch.from_numpy(np.array(sheet)).float()[None] / 255, worst_verdict(batch))


def _require_as_many(what: str, labels: Sequence[str], count: int) -> None:
    if labels and len(labels) != count:
        raise InputError(
            f"There are {len(labels)} {what}, and {count} are wanted; give as many.", code="unequal-lists"
        )


def _fitted(pen: ImageDraw.ImageDraw, text: str, font: Font, width: int) -> str:
    """A text broken into lines of a width, at spaces where there are any."""
    lines: list[str] = []
    for word in text[:LABEL_CHARACTERS].split():
        together = f"{lines[-1]} {word}" if lines else word
        if lines and pen.textlength(together, font=font) <= width:
            lines[-1] = together
        else:
            lines.append(word)
    return "\n".join(lines)


def _height(pen: ImageDraw.ImageDraw, text: str, font: Font) -> int:
    return math.ceil(pen.multiline_textbbox((0, 0), text or " ", font=font)[3]) + 6
