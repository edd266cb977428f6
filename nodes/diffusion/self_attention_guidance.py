"""Self-attention guidance (Hong et al. 2022, arXiv 2210.00939): away from what a blurred view of the picture gives.

Where the middle of the network attends much, the negative's prediction is blurred, given its noise again and predicted
once more; guidance leads away from that.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from torch import Tensor
from torch.nn import functional

from graphcore.errors import InputError
from nodes.diffusion.guidance import NEGATIVE, Branch, Guide, Predictions, started
from nodes.diffusion.latent_operations import blurred
from nodes.values import Guidance

MAPPED = Branch("negative", "map:mid")
_KERNEL = 9
_THRESHOLD = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfAttentionGuided(Guidance):
    """Any guidance, and away from a blurred view by `scale`; `blur_sigma` is in latent cells."""

    base: Guidance
    scale: float = 0.5
    blur_sigma: float = 2.0

    def start(self) -> Guide:
        return _Guide(self, started(self.base))


@dataclass(frozen=True, slots=True)
class _Guide:
    guidance: SelfAttentionGuided
    base: Guide

    def branches(self, share: float) -> tuple[Branch, ...]:
        wanted = self.base.branches(share)
        if NEGATIVE not in wanted:
            return (*wanted, MAPPED)
        return tuple(MAPPED if branch == NEGATIVE else branch for branch in wanted)

    def __call__(self, predictions: Predictions) -> Tensor:
        negative = predictions[MAPPED]
        guided = self.base(replace(predictions, denoised={**predictions.denoised, NEGATIVE: negative}))
        attention = predictions.attention.get(MAPPED)
        if attention is None or predictions.again is None:
            raise InputError(
                "This model keeps no map of its attention, which self-attention guidance wants; use it with a UNet.",
                code="unsupported-choice",
            )
        degraded = degrade(negative, attention, self.guidance.blur_sigma)
        noisy = degraded + predictions.x - negative
        seen = predictions.again(noisy, (NEGATIVE,))[NEGATIVE]
        return guided + (degraded - seen) * self.guidance.scale


def degrade(latent: Tensor, attention: Tensor, sigma: float) -> Tensor:
    """A latent blurred where the middle block attends more than evenly; `attention` is (batch, tokens)."""
    height, width = latent.shape[-2:]
    rows, columns = map_size(height, width, attention.shape[1])
    mask = (attention > _THRESHOLD).to(latent.dtype).reshape(-1, 1, rows, columns)
    mask = functional.interpolate(mask, (height, width))
    return blurred(latent, _KERNEL, sigma) * mask + latent * (1 - mask)


def map_size(height: int, width: int, tokens: int) -> tuple[int, int]:
    """The size of the map that `tokens` make, when sides are halved (rounding up) as often as it takes."""
    while height * width > tokens and (height > 1 or width > 1):
        height, width = math.ceil(height / 2), math.ceil(width / 2)
    return height, width
