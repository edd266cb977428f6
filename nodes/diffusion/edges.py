"""Edges of pictures by Canny's method ("A computational approach to edge detection", 1986)."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor
from torch.nn import functional

from nodes.values import Image

_LUMA = (0.299, 0.587, 0.114)
_SOBEL = ((-1.0, 0.0, 1.0), (-2.0, 0.0, 2.0), (-1.0, 0.0, 1.0))
_SIGMA = 1.0
_RADIUS = 2
_NEIGHBOURS = ((0, 1), (1, 1), (1, 0), (1, -1))


def canny(image: Image, low: float, high: float) -> Image:
    """White lines one pixel wide on black, pictures of three equal channels in {0, 1}.

    `low` and `high` are limits of the gradient's length, in units of the Sobel kernel's sum over brightness in
    [0, 1]: a line is kept where it exceeds `low` and touches a place above `high`.
    """
    grey = (image.pixels[..., :3] * torch.tensor(_LUMA, device=image.pixels.device)).sum(-1)
    across, along = _gradient(_blurred(grey.unsqueeze(1)))
    length = (across.square() + along.square()).sqrt()
    thin = torch.where(_is_crest(length, across, along), length, 0.0).squeeze(1)
    lines = torch.stack([_joined(one, low, high) for one in thin])
    return replace(image, pixels=lines.to(image.pixels).unsqueeze(-1).repeat(1, 1, 1, 3))


def _blurred(grey: Tensor) -> Tensor:
    place = torch.arange(-_RADIUS, _RADIUS + 1, dtype=grey.dtype, device=grey.device)
    weights = (-(place**2) / (2 * _SIGMA**2)).exp()
    weights = weights / weights.sum()
    padded = functional.pad(grey, (_RADIUS,) * 4, mode=_padding(grey, _RADIUS))
    return functional.conv2d(
        functional.conv2d(padded, weights.view(1, 1, 1, -1)),
        weights.view(1, 1, -1, 1),
    )


def _gradient(grey: Tensor) -> tuple[Tensor, Tensor]:
    kernel = torch.tensor(_SOBEL, dtype=grey.dtype, device=grey.device)
    padded = functional.pad(grey, (1, 1, 1, 1), mode="replicate")
    across = functional.conv2d(padded, kernel.view(1, 1, 3, 3))
    along = functional.conv2d(padded, kernel.T.reshape(1, 1, 3, 3))
    return across, along


def _is_crest(length: Tensor, across: Tensor, along: Tensor) -> Tensor:
    """Where the gradient is longer than at both neighbours in its own direction (rounded to 45 degrees)."""
    sector = torch.round(torch.atan2(along, across) / (math.pi / 4)).long() % 4
    rows, columns = length.shape[-2:]
    padded = functional.pad(length, (1, 1, 1, 1))
    crest = torch.zeros_like(length, dtype=torch.bool)
    for number, (down, right) in enumerate(_NEIGHBOURS):
        ahead = padded[..., 1 + down : 1 + down + rows, 1 + right : 1 + right + columns]
        behind = padded[..., 1 - down : 1 - down + rows, 1 - right : 1 - right + columns]
        crest |= (sector == number) & (length > ahead) & (length >= behind)
    return crest


def _joined(thin: Tensor, low: float, high: float) -> Tensor:
    weak = (thin > low).cpu().numpy()
    patches, _ = ndimage.label(weak, structure=np.ones((3, 3)))
    kept = np.unique(patches[(thin > high).cpu().numpy() & weak])
    return torch.from_numpy(np.isin(patches, kept) & weak)


def _padding(grey: Tensor, radius: int) -> str:
    return "reflect" if min(grey.shape[-2:]) > radius else "replicate"
