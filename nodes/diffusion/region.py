"""Where in a latent a conditioning acts, and how strongly at each place."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from graphcore.errors import InputError
from nodes.values import Area, ConditioningEntry

FADE = 8
"""Latent cells over which an area without a mask fades out towards its inner edges."""

SMALLEST_BOUNDS = 8
"""The least height and width, in cells, of an area made from a mask's bounds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """A rectangle of latent cells."""

    top: int
    left: int
    height: int
    width: int

    @property
    def cells(self) -> int:
        """Its area."""
        return self.height * self.width

    def of(self, x: Tensor) -> Tensor:
        """This part of a tensor (..., height, width), as a view."""
        return x[..., self.top : self.top + self.height, self.left : self.left + self.width]

    def times(self, factor: int) -> Region:
        """The same rectangle in cells `factor` times as fine."""
        return Region(
            top=self.top * factor,
            left=self.left * factor,
            height=self.height * factor,
            width=self.width * factor,
        )

    def is_inside(self, other: Region) -> bool:
        """True if the other covers it."""
        return (
            self.top >= other.top
            and self.left >= other.left
            and self.top + self.height <= other.top + other.height
            and self.left + self.width <= other.left + other.width
        )


def entry_region(entry: ConditioningEntry, height: int, width: int) -> Region | None:
    """The region of an entry on a latent of this size, or None for all of it.

    Raises InputError if it lies outside.
    """
    if entry.mask is not None and entry.mask_bounds:
        return _clipped(_bounds(resized_mask(entry.mask, height, width)), height, width)
    if entry.area is None:
        return None
    return _clipped(_in_cells(entry.area, height, width), height, width)


def _in_cells(area: Area, height: int, width: int) -> Region:
    if not area.relative:
        return Region(
            top=round(area.y), left=round(area.x), height=round(area.height), width=round(area.width)
        )
    return Region(
        top=round(area.y * height),
        left=round(area.x * width),
        height=max(1, round(area.height * height)),
        width=max(1, round(area.width * width)),
    )


def _bounds(mask: Tensor) -> Region:
    """The smallest rectangle around all that is not 0 in any of the masks (batch, height, width)."""
    rows, columns = torch.nonzero(mask.abs().amax(dim=0), as_tuple=True)
    if not len(rows):
        return Region(top=0, left=0, height=SMALLEST_BOUNDS, width=SMALLEST_BOUNDS)
    top, left = int(rows.min()), int(columns.min())
    return Region(
        top=top,
        left=left,
        height=max(SMALLEST_BOUNDS, int(rows.max()) - top + 1),
        width=max(SMALLEST_BOUNDS, int(columns.max()) - left + 1),
    )


def _clipped(region: Region, height: int, width: int) -> Region:
    if not (0 <= region.top < height and 0 <= region.left < width) or min(region.height, region.width) < 1:
        raise InputError(
            f"The conditioning's area, at row {region.top} and column {region.left} of latent cells, is not "
            f"on the latent of {height} x {width}; move it inside.",
            code="area-outside",
        )
    return Region(
        top=region.top,
        left=region.left,
        height=min(region.height, height - region.top),
        width=min(region.width, width - region.left),
    )


def resized_mask(mask: Tensor, height: int, width: int) -> Tensor:
    """A mask (batch, height, width) or (height, width), at the latent's size and with a batch; bilinear."""
    mask = mask.reshape(-1, *mask.shape[-2:]).float()
    if mask.shape[-2:] == (height, width):
        return mask
    return interpolate(mask[:, None], size=(height, width), mode="bilinear")[:, 0]


def entry_weight(entry: ConditioningEntry, region: Region | None, height: int, width: int) -> float | Tensor:
    """How much an entry counts: its strength, times its mask, or fading towards the inner edges of its area.

    A number, or a tensor (batch of the mask, 1, height, width) of the region's size.
    """
    if entry.mask is not None:
        mask = resized_mask(entry.mask, height, width)[:, None]
        return (mask if region is None else region.of(mask)) * entry.mask_strength * entry.strength
    if region is None:
        return entry.strength
    down = _edges(region.height, region.top > 0, region.top + region.height < height)
    across = _edges(region.width, region.left > 0, region.left + region.width < width)
    return (down[:, None] * across[None, :] * entry.strength)[None, None]


def _edges(length: int, fades_in: bool, fades_out: bool) -> Tensor:
    """Weights along one side of an area: rising over its first cells and falling over its last."""
    weights = torch.ones(length)
    cells = min(FADE, length // 4)
    ramp = torch.arange(1, cells + 1) / max(cells, 1)
    if fades_in:
        weights[:cells] *= ramp
    if fades_out:
        weights[length - cells :] *= ramp.flip(0)
    return weights
