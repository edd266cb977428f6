"""Weights and pictures by a formula, the same in every version of torch and on every machine."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor


def weights(shapes: Mapping[str, Sequence[int]]) -> dict[str, Tensor]:
    """A tensor for each shape, by its name: waves, of about the size that networks begin with."""
    return {name: _weight(name, tuple(shape)) for name, shape in shapes.items()}


def _weight(name: str, shape: tuple[int, ...]) -> Tensor:
    start = zlib.crc32(name.encode()) % 1000
    count = math.prod(shape)
    wave = torch.sin(torch.arange(count, dtype=torch.float64) * 1.618 + start).reshape(shape)
    if name.endswith("running_var"):
        return (1 + 0.3 * wave).float()
    if len(shape) == 1:
        centre = 1.0 if "norm" in name and name.endswith("weight") else 0.0
        return (centre + 0.1 * wave).float()
    return (wave * math.sqrt(2 / max(math.prod(shape[1:]), 1))).float()


def picture(height: int, width: int) -> Tensor:
    """A picture (1, 3, height, width) in [0, 1]."""
    places = torch.arange(3 * height * width, dtype=torch.float64)
    return (0.5 + 0.5 * torch.sin(places * 0.7)).reshape(1, 3, height, width).float()
