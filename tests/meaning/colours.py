"""How much of a picture has a colour of the embedded checkpoint's world."""

from __future__ import annotations

import torch
from torch import Tensor

from tools.embedded.palette import PALETTE

_NEAR = 0.28


def share(pixels: Tensor, colour: str) -> float:
    """Share of pixels (height, width, 3) whose nearest palette colour is `colour` and not far from it."""
    palette = torch.tensor(list(PALETTE.values())) / 255
    distance = torch.cdist(pixels.reshape(-1, 3).float(), palette)
    nearest, index = distance.min(dim=1)
    own = (index == list(PALETTE).index(colour)) & (nearest < _NEAR)
    return float(own.float().mean())


def left(pixels: Tensor) -> Tensor:
    """The left half."""
    return pixels[:, : pixels.shape[1] // 2]


def right(pixels: Tensor) -> Tensor:
    """The right half."""
    return pixels[:, pixels.shape[1] // 2 :]


def difference(one: Tensor, other: Tensor) -> float:
    """Mean absolute difference."""
    return float((one - other).abs().mean())
