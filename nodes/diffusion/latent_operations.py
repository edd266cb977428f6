"""Operations on latents, channel by channel or by their length over channels."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from nodes.guidance.guidance_options import LatentOperation

_LEAST = 1e-10


def operated(latent: Tensor, operation: LatentOperation) -> Tensor:
    """A latent (batch, channels, height, width) after an operation."""
    if operation.name == "tonemap-reinhard":
        (multiplier,) = operation.numbers
        return tonemapped(latent, multiplier)
    radius, sigma, alpha = operation.numbers
    return sharpened(latent, int(radius), sigma, alpha)


def tonemapped(latent: Tensor, multiplier: float) -> Tensor:
    """Lengths are pressed together by m / (m + 1) (Reinhard et al. 2002), so that the brightest do not glare.

    What counts as bright is `multiplier` times the mean length and five standard deviations.
    """
    length: Tensor = latent.norm(dim=1, keepdim=True) + _LEAST
    dims = tuple(range(1, length.ndim))
    top = (length.mean(dims, keepdim=True) + 5 * length.std(dims, keepdim=True)) * multiplier
    top = top.clamp_min(_LEAST)
    relative = length / top
    return latent / length * (relative / (relative + 1) * top)


def sharpened(latent: Tensor, radius: int, sigma: float, alpha: float) -> Tensor:
    """Directions over channels are sharpened by an unsharp mask of `radius` cells, in which `sigma` counts.

    Lengths stay.
    """
    length: Tensor = latent.norm(dim=1, keepdim=True) + 1e-6
    kernel = gaussian_kernel(2 * radius + 1, sigma * radius).to(latent) * (-10 * alpha)
    kernel[radius, radius] += 1 - kernel.sum()
    channels = latent.shape[1]
    mode = "reflect" if radius < min(latent.shape[-2:]) else "replicate"
    padded = functional.pad(latent / length, (radius,) * 4, mode=mode)
    return length * functional.conv2d(padded, kernel.expand(channels, 1, -1, -1), groups=channels)


def blurred(latent: Tensor, size: int, sigma: float) -> Tensor:
    """A latent under a Gaussian of `size` cells a side (odd), reflected at its edges; 0 leaves it as it is."""
    if sigma <= 0:
        return latent
    radius, channels = size // 2, latent.shape[1]
    mode = "reflect" if radius < min(latent.shape[-2:]) else "replicate"
    padded = functional.pad(latent, (radius,) * 4, mode=mode)
    kernel = gaussian_kernel(size, sigma).to(latent)
    return functional.conv2d(padded, kernel.expand(channels, 1, -1, -1), groups=channels)


def gaussian_kernel(size: int, sigma: float) -> Tensor:
    """A Gaussian (size, size) whose values add up to 1."""
    places = torch.arange(size) - (size - 1) / 2
    weights = torch.exp(-0.5 * (places / sigma) ** 2)
    kernel = weights[:, None] * weights
    return kernel / kernel.sum()
