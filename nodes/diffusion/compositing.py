"""Porter-Duff compositing of pictures with their coverage (Porter & Duff 1984; W3C Compositing Level 1)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import torch
from torch import Tensor

from nodes.diffusion.latents import in_batch
from nodes.diffusion.picture_batches import checked_verdicts
from nodes.diffusion.resizing import resize
from nodes.values import Image, Mask

Operator = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]

COVERAGE: Final[Mapping[str, Operator]] = {
    "CLEAR": lambda src, dst: (torch.zeros_like(src), torch.zeros_like(dst)),
    "SRC": lambda src, dst: (torch.ones_like(src), torch.zeros_like(dst)),
    "DST": lambda src, dst: (torch.zeros_like(src), torch.ones_like(dst)),
    "SRC_OVER": lambda src, dst: (torch.ones_like(src), 1 - src),
    "DST_OVER": lambda src, dst: (1 - dst, torch.ones_like(dst)),
    "SRC_IN": lambda src, dst: (dst, torch.zeros_like(dst)),
    "DST_IN": lambda src, dst: (torch.zeros_like(src), src),
    "SRC_OUT": lambda src, dst: (1 - dst, torch.zeros_like(dst)),
    "DST_OUT": lambda src, dst: (torch.zeros_like(src), 1 - src),
    "SRC_ATOP": lambda src, dst: (dst, 1 - src),
    "DST_ATOP": lambda src, dst: (1 - dst, src),
    "XOR": lambda src, dst: (1 - dst, 1 - src),
    "ADD": lambda src, dst: (torch.ones_like(src), torch.ones_like(dst)),
}
"""What share of source and destination an operator keeps, by the coverage of both."""

BLENDS: Final[Mapping[str, Callable[[Tensor, Tensor], Tensor]]] = {
    "DARKEN": torch.minimum,
    "LIGHTEN": torch.maximum,
    "MULTIPLY": lambda src, dst: src * dst,
    "SCREEN": lambda src, dst: src + dst - src * dst,
    "OVERLAY": lambda src, dst: torch.where(dst <= 0.5, 2 * src * dst, 1 - 2 * (1 - src) * (1 - dst)),
}
"""The colour where source and destination overlap."""


def with_alpha(pixels: Tensor, opacity: Tensor) -> Tensor:
    """Pictures (batch, height, width, 3 or 4) with this opacity (n, height, width) as their fourth channel."""
    height, width = pixels.shape[1:3]
    fourth = in_batch(_resized(opacity[..., None], height, width)[..., 0], pixels.shape[0])
    return torch.cat([pixels[..., :3], fourth[..., None].to(pixels)], dim=-1)


def split_alpha(pixels: Tensor) -> tuple[Tensor, Tensor]:
    """The three colours and the opacity (batch, height, width), which is 1 where there is no fourth channel."""
    opaque = torch.ones_like(pixels[..., 0])
    return pixels[..., :3].contiguous(), pixels[..., 3].contiguous() if pixels.shape[-1] > 3 else opaque


def composited(
    source: Image, source_alpha: Mask, destination: Image, destination_alpha: Mask, mode: str
) -> tuple[Image, Mask]:
    """Two batches of pictures laid over each other, as long as the shorter one, and what they cover."""
    count = min(source.pixels.shape[0], destination.pixels.shape[0])
    height, width = destination.pixels.shape[1:3]

    def layer(image: Image, mask: Mask) -> tuple[Tensor, Tensor]:
        coverage = _resized(mask.values[..., None], height, width)[..., 0]
        return (
            _resized(image.pixels[:count, ..., :3], height, width),
            in_batch(coverage, count)[..., None],
        )

    color, alpha = composed(*layer(source, source_alpha), *layer(destination, destination_alpha), mode)
    verdicts = tuple(
        under if under.flagged else over
        for under, over in zip(checked_verdicts(destination), checked_verdicts(source), strict=False)
    )
    return Image(color, verdicts if source.verdicts or destination.verdicts else ()), Mask(alpha[..., 0])


def _resized(pixels: Tensor, height: int, width: int) -> Tensor:
    if pixels.shape[1:3] == (height, width):
        return pixels
    return resize(pixels.movedim(-1, 1), width, height, "bicubic", crop=True).clamp(0, 1).movedim(1, -1)


def composed(
    source: Tensor, source_alpha: Tensor, destination: Tensor, destination_alpha: Tensor, mode: str
) -> tuple[Tensor, Tensor]:
    """Colour (not multiplied) and coverage of two layers.

    Colours have the shape (batch, height, width, channels), coverages (batch, height, width, 1), all in [0, 1].
    """
    if mode in BLENDS:
        alpha = source_alpha + destination_alpha - source_alpha * destination_alpha
        overlap = source_alpha * destination_alpha * BLENDS[mode](source, destination)
        color = (
            source * source_alpha * (1 - destination_alpha)
            + destination * destination_alpha * (1 - source_alpha)
            + overlap
        )
    else:
        kept, left = COVERAGE[mode](source_alpha, destination_alpha)
        alpha = (source_alpha * kept + destination_alpha * left).clamp(0, 1)
        color = (source * source_alpha * kept + destination * destination_alpha * left).clamp(0, 1)
    return torch.where(alpha > 1e-5, color / alpha.clamp(min=1e-5), torch.zeros_like(color)).clamp(
        0, 1
    ), alpha
