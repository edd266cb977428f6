"""What all diffusion models share, whatever their timesteps are."""

from __future__ import annotations

from torch import Tensor

from nodes.diffusion.parameterization.interface import NoiseProcess, Prediction


class Diffusion:
    """x = x0 + sigma * noise, scaled to unit variance for the network."""

    __slots__ = ()
    prediction: Prediction

    @property
    def process(self) -> NoiseProcess:
        return NoiseProcess()

    def scale_input(self, x: Tensor, sigma: Tensor) -> Tensor:
        return x / (sigma**2 + 1) ** 0.5

    def denoised(self, x: Tensor, prediction: Tensor, sigma: Tensor) -> Tensor:
        if self.prediction == "epsilon":
            return x - prediction * sigma
        if self.prediction == "v_prediction":
            return x / (sigma**2 + 1) - prediction * sigma / (sigma**2 + 1) ** 0.5
        return prediction

    def add_noise(self, latent: Tensor, noise: Tensor, sigma: Tensor, *, full: bool = False) -> Tensor:
        level = (1 + sigma**2) ** 0.5 if full else sigma
        return noise * level + latent

    def finish(self, x: Tensor, sigma: Tensor) -> Tensor:
        return x
