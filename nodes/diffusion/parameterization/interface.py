"""What sampling asks of a parameterization."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor

Prediction = Literal["epsilon", "v_prediction", "sample"]
"""What a diffusion network was trained to predict; `sample` is x0 itself."""

BEFORE_THE_BEGINNING = 999999999.9
"""The sigma of share 0: above that of any schedule."""


@dataclass(frozen=True, slots=True)
class NoiseProcess:
    """How signal and noise mix at a sigma: alpha is 1, or 1 - sigma for rectified flow."""

    flow: bool = False

    def alpha(self, sigma: Tensor) -> Tensor:
        """The share of the signal."""
        return 1 - sigma if self.flow else torch.ones_like(sigma)

    def half_log_snr(self, sigma: Tensor) -> Tensor:
        """lambda = log(alpha / sigma), the time of the DPM-Solver papers (Lu et al. 2022)."""
        return -sigma.logit() if self.flow else -sigma.log()

    def sigma(self, half_log_snr: Tensor) -> Tensor:
        """The inverse of `half_log_snr`."""
        return half_log_snr.neg().sigmoid() if self.flow else half_log_snr.neg().exp()


class Parameterization(Protocol):
    """What a network's numbers mean. Sigmas are float32 and 0-d, or (rows,); they stay on the CPU."""

    @property
    def process(self) -> NoiseProcess: ...

    @property
    def sigmas(self) -> Tensor:
        """The sigmas the network was trained on, rising, shape (timesteps,)."""
        ...

    def timestep(self, sigma: Tensor) -> Tensor:
        """The network's timestep for a sigma, as float32."""
        ...

    def sigma(self, timestep: Tensor) -> Tensor:
        """The sigma of a timestep (which need not be whole)."""
        ...

    def sigma_at(self, share: float) -> float:
        """The sigma at a share of the whole schedule: 0 is before its noisy beginning, 1 its end."""
        ...

    def share(self, sigma: Tensor) -> float:
        """How much of the schedule lies behind a sigma: 0 at pure noise, 1 at the end."""
        ...

    def scale_input(self, x: Tensor, sigma: Tensor) -> Tensor:
        """x as the network takes it; `sigma` broadcasts against x."""
        ...

    def denoised(self, x: Tensor, prediction: Tensor, sigma: Tensor) -> Tensor:
        """x0 from the network's prediction."""
        ...

    def add_noise(self, latent: Tensor, noise: Tensor, sigma: Tensor, *, full: bool = False) -> Tensor:
        """A clean latent at a noise level; `full` says that the level is the model's highest."""
        ...

    def finish(self, x: Tensor, sigma: Tensor) -> Tensor:
        """A latent of the size that it has without noise, from x left at `sigma` (a run may end early)."""
        ...
