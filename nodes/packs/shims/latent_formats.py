"""`comfy.latent_formats`: how networks take latents, by family."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


class LatentFormat:
    """Latents as a network wants them: (latent - shift_factor) * scale_factor."""

    scale_factor = 1.0
    shift_factor = 0.0
    latent_channels = 4
    latent_dimensions = 2
    spacial_downscale_ratio = 8

    def process_in(self, latent: Tensor) -> Tensor:
        """From what the VAE gives to what the network takes."""
        return (latent - self.shift_factor) * self.scale_factor

    def process_out(self, latent: Tensor) -> Tensor:
        """From what the network takes to what the VAE gives."""
        return latent / self.scale_factor + self.shift_factor


class SD15(LatentFormat):
    """Stable Diffusion 1 and 2."""

    scale_factor = 0.18215


class SDXL(LatentFormat):
    """Stable Diffusion XL."""

    scale_factor = 0.13025


class SD3(LatentFormat):
    """Stable Diffusion 3."""

    scale_factor = 1.5305
    shift_factor = 0.0609
    latent_channels = 16


class Flux(LatentFormat):
    """Flux."""

    scale_factor = 0.3611
    shift_factor = 0.1159
    latent_channels = 16
