"""Rectified flows."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from nodes.diffusion.parameterization.interface import NoiseProcess


def shifted(time: Tensor, shift: float) -> Tensor:
    """Time of a flow moved towards noise: s t / (1 + (s - 1) t) (Esser et al. 2024, eq. 23)."""
    return time if shift == 1 else shift * time / (1 + (shift - 1) * time)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RectifiedFlow:
    """Rectified flow (Esser et al. 2024): x = (1 - sigma) x0 + sigma noise, sigma in [0, 1]; SD3 has shift 3.

    The network predicts noise - x0 and takes sigma * `multiplier` as its timestep.
    """

    shift: float = 3.0
    multiplier: float = 1000.0
    timesteps: int = 1000
    sigmas: Tensor = field(init=False)

    def __post_init__(self) -> None:
        time = torch.arange(1, self.timesteps + 1) / self.timesteps
        object.__setattr__(self, "sigmas", shifted(time, self.shift))

    @property
    def process(self) -> NoiseProcess:
        return NoiseProcess(flow=True)

    def timestep(self, sigma: Tensor) -> Tensor:
        return sigma * self.multiplier

    def sigma(self, timestep: Tensor) -> Tensor:
        return shifted(timestep / self.multiplier, self.shift)

    def sigma_at(self, share: float) -> float:
        if share <= 0:
            return 1.0
        if share >= 1:
            return 0.0
        return float(shifted(torch.tensor(1 - share, dtype=torch.float64), self.shift))

    def share(self, sigma: Tensor) -> float:
        return 1 - float(sigma / (self.shift - (self.shift - 1) * sigma))

    def scale_input(self, x: Tensor, sigma: Tensor) -> Tensor:
        return x

    def denoised(self, x: Tensor, prediction: Tensor, sigma: Tensor) -> Tensor:
        return x - prediction * sigma

    def add_noise(self, latent: Tensor, noise: Tensor, sigma: Tensor, *, full: bool = False) -> Tensor:
        return sigma * noise + (1 - sigma) * latent

    def finish(self, x: Tensor, sigma: Tensor) -> Tensor:
        return x / (1 - sigma)
