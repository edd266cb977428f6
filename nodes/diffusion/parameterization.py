"""Between samplers, which speak of sigmas, and networks, which speak of timesteps and epsilon, v or flow.

Samplers see one kind of model: denoised = D(x, sigma) with x = alpha * x0 + sigma * noise, where alpha is 1
for diffusion models (Karras et al. 2022, "EDM", variance exploding form) and 1 - sigma for rectified flow.
What a given network predicts, and on which timesteps it was trained, is settled here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
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


class _Diffusion:
    """What all diffusion models share: x = x0 + sigma * noise, scaled to unit variance for the network."""

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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DiscreteDiffusion(_Diffusion):
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

    def sigma_at(self, share: float) -> float:
        if share <= 0:
            return BEFORE_THE_BEGINNING
        if share >= 1:
            return 0.0
        return float(self.sigma(torch.tensor((1 - share) * (len(self.sigmas) - 1))))

    def share(self, sigma: Tensor) -> float:
        return 1 - float(self.timestep(sigma)) / (len(self.sigmas) - 1)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ContinuousEdm(_Diffusion):
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
        table = torch.linspace(math.log(self.sigma_min), math.log(self.sigma_max), 1000).exp()
        object.__setattr__(self, "sigmas", table)

    def scale_input(self, x: Tensor, sigma: Tensor) -> Tensor:
        return x / (sigma**2 + self.sigma_data**2) ** 0.5

    def denoised(self, x: Tensor, prediction: Tensor, sigma: Tensor) -> Tensor:
        if not self.preconditioned:
            return _Diffusion.denoised(self, x, prediction, sigma)
        spread = sigma**2 + self.sigma_data**2
        return x * self.sigma_data**2 / spread + prediction * sigma * self.sigma_data / spread**0.5

    def timestep(self, sigma: Tensor) -> Tensor:
        return 0.25 * sigma.log()

    def sigma(self, timestep: Tensor) -> Tensor:
        return (timestep / 0.25).exp()

    def sigma_at(self, share: float) -> float:
        return _log_sigma_at(share, self.sigma_min, self.sigma_max)

    def share(self, sigma: Tensor) -> float:
        low, high = math.log(self.sigma_min), math.log(self.sigma_max)
        return 1 - (math.log(float(sigma)) - low) / (high - low)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ContinuousCosine(_Diffusion):
    """Diffusion on continuous angles (Salimans & Ho 2022): timestep = 2/pi atan(sigma), in [0, 1]; it predicts v."""

    sigma_min: float = 0.03
    sigma_max: float = 500.0
    prediction: Prediction = "v_prediction"
    sigmas: Tensor = field(init=False)

    def __post_init__(self) -> None:
        table = torch.linspace(math.log(self.sigma_min), math.log(self.sigma_max), 1000).exp()
        object.__setattr__(self, "sigmas", table)

    def timestep(self, sigma: Tensor) -> Tensor:
        return sigma.atan() / math.pi * 2

    def sigma(self, timestep: Tensor) -> Tensor:
        return (timestep * math.pi / 2).tan()

    def sigma_at(self, share: float) -> float:
        return _log_sigma_at(share, self.sigma_min, self.sigma_max)

    def share(self, sigma: Tensor) -> float:
        low, high = math.log(self.sigma_min), math.log(self.sigma_max)
        return 1 - (math.log(float(sigma)) - low) / (high - low)


def _log_sigma_at(share: float, lowest: float, highest: float) -> float:
    """The sigma at a share of the range of logarithms."""
    if share <= 0:
        return BEFORE_THE_BEGINNING
    if share >= 1:
        return 0.0
    low, high = math.log(lowest), math.log(highest)
    return math.exp((high - low) * (1 - share) + low)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LatentConsistency(_Diffusion):
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

    def sigma_at(self, share: float) -> float:
        if share <= 0:
            return BEFORE_THE_BEGINNING
        if share >= 1:
            return 0.0
        return float(self.sigma(torch.tensor((1 - share) * (len(self.betas) - 1))))

    def share(self, sigma: Tensor) -> float:
        return 1 - float(self.timestep(sigma)) / (len(self.betas) - 1)

    def denoised(self, x: Tensor, prediction: Tensor, sigma: Tensor) -> Tensor:
        scaled = 10 * self.timestep(sigma).to(x.dtype)
        nearness = scaled**2 + 0.25
        x0 = x - prediction * sigma
        return (scaled / nearness**0.5) * x0 + (0.25 / nearness) * x


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
