"""Diffusion models that were trained on a table of timesteps."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from nodes.diffusion.parameterization.diffusion import Diffusion
from nodes.diffusion.parameterization.interface import BEFORE_THE_BEGINNING, Prediction


def linear_betas(*, timesteps: int = 1000, start: float = 0.00085, end: float = 0.012) -> Tensor:
    """The "scaled linear" betas of Stable Diffusion, float64: linear in their square roots."""
    return torch.linspace(start**0.5, end**0.5, timesteps, dtype=torch.float64) ** 2


def evenly_rising_betas(*, timesteps: int = 1000, start: float = 0.00085, end: float = 0.012) -> Tensor:
    """Betas that are linear themselves, float64, as AnimateDiff was trained on."""
    return torch.linspace(start, end, timesteps, dtype=torch.float64)


def zero_terminal_snr(alphas_cumprod: Tensor) -> Tensor:
    """Shift and scale sqrt(alphas_cumprod): no signal in the last step (Lin et al. 2023, algorithm 1).

    The last value is not 0 but 4.9e-8 (sigma 4518), which keeps sigmas finite.
    """
    root = alphas_cumprod.sqrt()
    first, last = root[0], root[-1]
    rescaled = ((root - last) * first / (first - last)) ** 2
    rescaled[-1] = 4.8973451890853435e-08
    return rescaled


def _table_from_betas(betas: Tensor, zero_snr: bool) -> Tensor:
    alphas_cumprod = (1 - betas.double()).cumprod(0)
    if zero_snr:
        alphas_cumprod = zero_terminal_snr(alphas_cumprod)
    return ((1 - alphas_cumprod) / alphas_cumprod).sqrt()


def _nearest(sigma: Tensor, log_sigmas: Tensor) -> Tensor:
    """The place of the table's sigma that is nearest in logarithm, as float32."""
    distance = (sigma.log().reshape(-1, 1) - log_sigmas).abs()
    return distance.argmin(dim=1).reshape(sigma.shape).float()


def _interpolated(place: Tensor, log_sigmas: Tensor) -> Tensor:
    """The sigma at a place of the table that need not be whole, linear in logarithms."""
    place = place.float().clamp(0, len(log_sigmas) - 1)
    low, high = log_sigmas[place.floor().long()], log_sigmas[place.ceil().long()]
    weight = place.frac()
    return ((1 - weight) * low + weight * high).exp()


class _Discrete(Diffusion):
    """Sigmas of a table, and the shares of its timesteps."""

    __slots__ = ()
    betas: Tensor

    def timestep(self, sigma: Tensor) -> Tensor:
        raise NotImplementedError

    def sigma(self, timestep: Tensor) -> Tensor:
        raise NotImplementedError

    def sigma_at(self, share: float) -> float:
        if share <= 0:
            return BEFORE_THE_BEGINNING
        if share >= 1:
            return 0.0
        return float(self.sigma(torch.tensor((1 - share) * (len(self.betas) - 1))))

    def share(self, sigma: Tensor) -> float:
        return 1 - float(self.timestep(sigma)) / (len(self.betas) - 1)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DiscreteDiffusion(_Discrete):
    """Diffusion with a table of discrete timesteps (SD 1.x, 2.x, SDXL): sigma^2 = (1 - abar_t) / abar_t.

    A sigma is given to the network as the nearest timestep (in log sigma), since it never saw others.
    """

    betas: Tensor = field(default_factory=linear_betas)
    prediction: Prediction = "epsilon"
    zero_snr: bool = False
    sigmas: Tensor = field(init=False)
    _log_sigmas: Tensor = field(init=False)

    def __post_init__(self) -> None:
        table = _table_from_betas(self.betas, self.zero_snr)
        object.__setattr__(self, "sigmas", table.float())
        object.__setattr__(self, "_log_sigmas", table.log().float())

    def timestep(self, sigma: Tensor) -> Tensor:
        return _nearest(sigma, self._log_sigmas)

    def sigma(self, timestep: Tensor) -> Tensor:
        return _interpolated(timestep, self._log_sigmas)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LatentConsistency(_Discrete):
    """Latent consistency models (Luo et al. 2023, arXiv 2310.04378): trained on `taught` of the timesteps.

    They predict epsilon, and their x0 is held to x at timestep 0 by the boundary weights of section 4.1.
    """

    betas: Tensor = field(default_factory=linear_betas)
    taught: int = 50
    zero_snr: bool = False
    prediction: Prediction = "epsilon"
    sigmas: Tensor = field(init=False)
    _log_sigmas: Tensor = field(init=False)

    def __post_init__(self) -> None:
        table = _table_from_betas(self.betas, self.zero_snr)[self._stride - 1 :: self._stride]
        object.__setattr__(self, "sigmas", table.float())
        object.__setattr__(self, "_log_sigmas", table.log().float())

    @property
    def _stride(self) -> int:
        return len(self.betas) // self.taught

    def timestep(self, sigma: Tensor) -> Tensor:
        return _nearest(sigma, self._log_sigmas) * self._stride + self._stride - 1

    def sigma(self, timestep: Tensor) -> Tensor:
        return _interpolated((timestep.float() - self._stride + 1) / self._stride, self._log_sigmas)

    def denoised(self, x: Tensor, prediction: Tensor, sigma: Tensor) -> Tensor:
        scaled = 10 * self.timestep(sigma).to(x.dtype)
        nearness = scaled**2 + 0.25
        x0 = x - prediction * sigma
        return (scaled / nearness**0.5) * x0 + (0.25 / nearness) * x
