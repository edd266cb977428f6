"""Diffusion models that were trained on a range of sigmas."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from nodes.diffusion.parameterization.diffusion import Diffusion
from nodes.diffusion.parameterization.interface import BEFORE_THE_BEGINNING, Prediction


class _Continuous(Diffusion):
    """Sigmas of a range, and the shares of their logarithms."""

    __slots__ = ()
    sigma_min: float
    sigma_max: float

    def sigma_at(self, share: float) -> float:
        if share <= 0:
            return BEFORE_THE_BEGINNING
        if share >= 1:
            return 0.0
        low, high = math.log(self.sigma_min), math.log(self.sigma_max)
        return math.exp((high - low) * (1 - share) + low)

    def share(self, sigma: Tensor) -> float:
        low, high = math.log(self.sigma_min), math.log(self.sigma_max)
        return 1 - (math.log(float(sigma)) - low) / (high - low)

    def _table(self) -> Tensor:
        return torch.linspace(math.log(self.sigma_min), math.log(self.sigma_max), 1000).exp()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ContinuousEdm(_Continuous):
    """Diffusion on continuous sigmas (Karras et al. 2022): timestep = log(sigma) / 4; SVD predicts v.

    With `preconditioned`, the network's output means what their equation 7 says, for data of deviation `sigma_data`.
    """

    sigma_min: float = 0.002
    sigma_max: float = 700.0
    prediction: Prediction = "v_prediction"
    preconditioned: bool = False
    sigma_data: float = 1.0
    sigmas: Tensor = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sigmas", self._table())

    def scale_input(self, x: Tensor, sigma: Tensor) -> Tensor:
        return x / (sigma**2 + self.sigma_data**2) ** 0.5

    def denoised(self, x: Tensor, prediction: Tensor, sigma: Tensor) -> Tensor:
        if not self.preconditioned:
            return Diffusion.denoised(self, x, prediction, sigma)
        spread = sigma**2 + self.sigma_data**2
        return x * self.sigma_data**2 / spread + prediction * sigma * self.sigma_data / spread**0.5

    def timestep(self, sigma: Tensor) -> Tensor:
        return 0.25 * sigma.log()

    def sigma(self, timestep: Tensor) -> Tensor:
        return (timestep / 0.25).exp()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ContinuousCosine(_Continuous):
    """Diffusion on continuous angles (Salimans & Ho 2022): timestep = 2/pi atan(sigma), in [0, 1]; it predicts v."""

    sigma_min: float = 0.03
    sigma_max: float = 500.0
    prediction: Prediction = "v_prediction"
    sigmas: Tensor = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sigmas", self._table())

    def timestep(self, sigma: Tensor) -> Tensor:
        return sigma.atan() / math.pi * 2

    def sigma(self, timestep: Tensor) -> Tensor:
        return (timestep * math.pi / 2).tan()
