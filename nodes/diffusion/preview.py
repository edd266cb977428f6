"""Latents as small pictures, without a decoder: one matrix from latent channels to colours."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from nodes.diffusion.network import LatentRgb


@dataclass(frozen=True, slots=True, eq=False)
class LatentPreview:
    """What a run looks like at a step; it costs nothing until it is looked at.

    `denoised` (batch, channels, height, width) is the scaled latent that the network believes in. Without
    `rgb` the first channels are shown as greys.
    """

    denoised: Tensor
    rgb: LatentRgb | None = None

    def pixels(self, sample: int = 0) -> Tensor:
        """One sample as uint8 (height, width, 3) on the CPU, one pixel a latent cell."""
        latent = self.denoised[sample].detach().float().cpu()
        colours = latent_to_rgb(latent[None], self.rgb or _greys(latent))
        return ((colours[0] + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)


def latent_to_rgb(latents: Tensor, rgb: LatentRgb) -> Tensor:
    """Scaled latents (batch, channels, height, width) as colours (batch, height, width, 3), about -1 to 1."""
    factors = torch.tensor(rgb.factors, dtype=latents.dtype, device=latents.device)
    bias = torch.tensor(rgb.bias, dtype=latents.dtype, device=latents.device)
    return latents.movedim(1, -1) @ factors + bias


def _greys(latent: Tensor) -> LatentRgb:
    """The mean of all channels, spread over the range that it has."""
    mean = latent.mean(dim=0)
    low, high = float(mean.min()), float(mean.max())
    gain = 2 / (high - low) if high > low else 0.0
    share = gain / len(latent)
    bias = -1 - low * gain if gain else 0.0
    return LatentRgb(factors=((share, share, share),) * len(latent), bias=(bias, bias, bias))


def fit_latent_rgb(latents: Tensor, pictures: Tensor) -> LatentRgb:
    """The matrix that shows a VAE's latents best, by least squares over pairs of latents and pictures.

    `latents` are scaled, (batch, channels, h, w); `pictures` (batch, 3, H, W) in [-1, 1] are what the decoder
    makes of them, and are averaged down to h x w. Needs at least channels + 1 latent cells in all.
    """
    small = interpolate(pictures.double(), size=latents.shape[-2:], mode="area")
    cells = latents.double().movedim(1, -1).reshape(-1, latents.shape[1])
    design = torch.cat([cells, torch.ones(len(cells), 1, dtype=cells.dtype)], dim=1)
    solution = torch.linalg.lstsq(design, small.movedim(1, -1).reshape(-1, 3), driver="gelsd").solution
    rows = [(float(red), float(green), float(blue)) for red, green, blue in solution]
    return LatentRgb(factors=tuple(rows[:-1]), bias=rows[-1])
