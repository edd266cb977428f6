"""A training's loss as a picture: each step as a dot, and a running mean as a line."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image as Pillow
from PIL import ImageDraw

from graphcore.context import Preview
from nodes.values import Image

WIDTH, HEIGHT = 640, 400
_LEFT, _TOP, _RIGHT, _BOTTOM = 64, 20, 16, 36
_GREY, _DOTS, _LINE = (205, 205, 205), (170, 195, 235), (25, 75, 175)
_SMOOTHED = 0.08


def drawn(losses: Sequence[float], *, total: int | None = None) -> Pillow.Image:
    """The curve of these losses; the axis runs to `total` steps, where the training is not done."""
    picture = Pillow.new("RGB", (WIDTH, HEIGHT), "white")
    draw = ImageDraw.Draw(picture)
    values = np.nan_to_num(np.asarray(losses, dtype=np.float64), posinf=0.0, neginf=0.0)
    top = float(np.quantile(values, 0.99)) * 1.1 if len(values) else 1.0
    top = top or 1.0
    steps = max(total or len(values), 2)
    wide, tall = WIDTH - _LEFT - _RIGHT, HEIGHT - _TOP - _BOTTOM
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = _TOP + tall * (1 - share)
        draw.line((_LEFT, y, WIDTH - _RIGHT, y), fill=_GREY)
        draw.text((6, y - 6), f"{top * share:.4g}", fill="black")
        x = _LEFT + wide * share
        draw.text((x - 8, HEIGHT - _BOTTOM + 8), f"{round((steps - 1) * share) + 1}", fill="black")
    across = _LEFT + np.arange(len(values)) / (steps - 1) * wide
    down = _TOP + (1 - np.clip(values / top, 0, 1)) * tall
    for x, y in zip(across, down, strict=True):
        draw.ellipse((x - 1, y - 1, x + 1, y + 1), fill=_DOTS)
    smooth = _TOP + (1 - np.clip(running_mean(values) / top, 0, 1)) * tall
    if len(values) > 1:
        draw.line([(float(x), float(y)) for x, y in zip(across, smooth, strict=True)], fill=_LINE, width=2)
    return picture


def running_mean(values: np.ndarray) -> np.ndarray:
    """An exponential mean over about a twelfth of the steps, without the pull of its start (Kingma and Ba 2015)."""
    rate = 1 / max(len(values) * _SMOOTHED, 1)
    mean, weight, found = 0.0, 0.0, []
    for value in values:
        mean = (1 - rate) * mean + rate * float(value)
        weight = (1 - rate) * weight + rate
        found.append(mean / weight)
    return np.asarray(found)


def curve_image(losses: Sequence[float]) -> Image:
    """The curve as a picture on a wire."""
    return Image(torch.from_numpy(np.array(drawn(losses))).float()[None] / 255)


def curve_preview(losses: Sequence[float], total: int) -> Preview:
    """The curve so far, to be shown while the training runs."""
    stream = io.BytesIO()
    drawn(losses, total=total).save(stream, format="JPEG", quality=80)
    return Preview(media_type="image/jpeg", data=stream.getvalue(), width=WIDTH, height=HEIGHT)
