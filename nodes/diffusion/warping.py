"""Pictures moved as a camera would see them: zoomed, turned and shifted, and kept in their colours."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

Border = Literal["wrap", "reflect", "edge"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Movement:
    """What happens to a picture: it grows by `zoom`, turns by `angle` degrees to the left, and shifts by pixels."""

    zoom: float = 1.0
    angle: float = 0.0
    right: float = 0.0
    down: float = 0.0

    @property
    def still(self) -> bool:
        """True if nothing moves."""
        return self.zoom == 1 and self.angle == 0 and self.right == 0 and self.down == 0


def moved(pixels: Tensor, movement: Movement, border: Border) -> Tensor:
    """Pictures (batch, height, width, 3) moved about their centre; `border` says what comes in from outside."""
    if movement.still:
        return pixels
    height, width = pixels.shape[1:3]
    turn = math.radians(movement.angle)
    cosine, sine = math.cos(turn) / movement.zoom, math.sin(turn) / movement.zoom
    down, across = torch.meshgrid(
        torch.arange(height, dtype=torch.float32) + 0.5 - height / 2 - movement.down,
        torch.arange(width, dtype=torch.float32) + 0.5 - width / 2 - movement.right,
        indexing="ij",
    )
    source_x = across * cosine - down * sine
    source_y = across * sine + down * cosine
    grid = torch.stack([source_x / (width / 2), source_y / (height / 2)], dim=-1)
    if border == "wrap":
        grid = (grid + 1) % 2 - 1
    planes = pixels.movedim(-1, 1)
    padding = {"wrap": "border", "reflect": "reflection", "edge": "border"}[border]
    found = functional.grid_sample(
        planes,
        grid[None].expand(len(planes), -1, -1, -1),
        mode="bicubic",
        padding_mode=padding,
        align_corners=False,
    )
    return found.clamp(0, 1).movedim(1, -1).contiguous()


def with_colours_of(pixels: Tensor, reference: Tensor) -> Tensor:
    """Pictures with the mean and deviation of a reference in each channel (Reinhard et al. 2001, in RGB)."""
    mean, deviation = pixels.mean(dim=(1, 2), keepdim=True), pixels.std(dim=(1, 2), keepdim=True)
    wanted = reference.mean(dim=(1, 2), keepdim=True), reference.std(dim=(1, 2), keepdim=True)
    return ((pixels - mean) / deviation.clamp(min=1e-4) * wanted[1] + wanted[0]).clamp(0, 1)
