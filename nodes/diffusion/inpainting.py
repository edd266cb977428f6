"""Pictures and masks made ready for inpainting."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from nodes.diffusion.latents import in_batch
from nodes.diffusion.resizing import resize
from nodes.diffusion.vae import cropped
from nodes.values import Image, Mask


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MaskedPicture:
    """A picture cut to whole cells: `whole` as it was, `pixels` with the part to change in mid-grey.

    `mask` (n, height, width) has the size of the cut picture.
    """

    whole: Tensor
    pixels: Tensor
    mask: Tensor


def greyed_out(image: Image, mask: Mask, *, multiple: int = 8) -> MaskedPicture:
    """Cut picture and mask around the centre to multiples of `multiple`; grey out where the mask is 1."""
    height, width = image.pixels.shape[1:3]
    values = in_batch(resize(mask.values[:, None], width, height, "bilinear")[:, 0], len(image.pixels))
    whole = cropped(image.pixels, multiple)
    values = cropped(values[..., None], multiple)[..., 0]
    keep = 1 - values.round()
    return MaskedPicture(whole=whole, pixels=(whole - 0.5) * keep[..., None] + 0.5, mask=values)


def grown(mask: Tensor, by: int) -> Tensor:
    """A mask (n, height, width) rounded to 0 and 1, and widened by a square of `by` pixels."""
    rounded = mask.round()
    if by == 0:
        return rounded
    kernel = torch.ones(1, 1, by, by)
    near = functional.conv2d(rounded[:, None], kernel, padding=math.ceil((by - 1) / 2))[:, 0]
    return near.clamp(0, 1)[:, : mask.shape[1], : mask.shape[2]].round()
