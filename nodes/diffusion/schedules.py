"""Schedules: which sigmas a sampler visits. Each is a function that returns them falling, with a final 0.

The numbers are ComfyUI's, whose conventions pictures in the wild depend on: `normal` is linear in timesteps
through the model's table, `simple` and `ddim_uniform` pick from the table, `beta` rounds to it. All are
float32 on the CPU.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
import scipy.stats
import torch
from torch import Tensor

from graphcore.errors import InputError
from nodes.diffusion.parameterization import Parameterization

Schedule = Callable[[Parameterization, int], Tensor]
"""A named schedule: from a model's parameterization and a number of steps."""

_NEAR_ZERO = 1e-5


def _ended(sigmas: Tensor) -> Tensor:
    return torch.cat([sigmas, sigmas.new_zeros(1)])


def _ramp(steps: int) -> Tensor:
    return torch.linspace(0, 1, steps)


def karras(steps: int, sigma_min: float, sigma_max: float, *, rho: float = 7.0) -> Tensor:
    """Linear in sigma^(1/rho) (Karras et al. 2022, eq. 5)."""
    low, high = sigma_min ** (1 / rho), sigma_max ** (1 / rho)
    return _ended((high + _ramp(steps) * (low - high)) ** rho)


def exponential(steps: int, sigma_min: float, sigma_max: float) -> Tensor:
    """Linear in log sigma."""
    return _ended(torch.linspace(math.log(sigma_max), math.log(sigma_min), steps).exp())


def polyexponential(steps: int, sigma_min: float, sigma_max: float, *, rho: float = 1.0) -> Tensor:
    """log sigma falls with (1 - i / (steps - 1))^rho."""
    ramp = torch.linspace(1, 0, steps) ** rho
    return _ended((ramp * (math.log(sigma_max) - math.log(sigma_min)) + math.log(sigma_min)).exp())


def laplace(steps: int, sigma_min: float, sigma_max: float, *, mu: float = 0.0, beta: float = 0.5) -> Tensor:
    """Quantiles of a Laplace distribution of log sigma (Hang et al. 2024, arXiv 2407.03297).

    It ends at sigma_min: no 0 is appended.
    """
    place = 0.5 - _ramp(steps)
    log_sigma = mu - beta * place.sign() * (1 - 2 * place.abs() + 1e-5).log()
    return log_sigma.exp().clamp(sigma_min, sigma_max)


def vp(steps: int, *, beta_d: float = 19.9, beta_min: float = 0.1, eps_s: float = 1e-3) -> Tensor:
    """Linear in the time of the variance-preserving SDE (Song et al. 2021; Karras et al. 2022, table 1)."""
    t = torch.linspace(1, eps_s, steps)
    return _ended((beta_d * t**2 / 2 + beta_min * t).expm1().sqrt())


def kl_optimal(steps: int, sigma_min: float, sigma_max: float) -> Tensor:
    """Linear in arctan sigma (Sabour et al. 2024, "Align Your Steps", eq. for Gaussian data)."""
    share = torch.arange(steps, dtype=torch.float32) / max(steps - 1, 1)
    return _ended((share * math.atan(sigma_min) + (1 - share) * math.atan(sigma_max)).tan())


def normal(model: Parameterization, steps: int) -> Tensor:
    """Linear in timesteps, both ends included."""
    start, end = model.timestep(model.sigmas[-1]), model.timestep(model.sigmas[0])
    if math.isclose(float(model.sigma(end)), 0, abs_tol=_NEAR_ZERO):
        return model.sigma(torch.linspace(float(start), float(end), steps + 1))
    return _ended(model.sigma(torch.linspace(float(start), float(end), steps)))


def sgm_uniform(model: Parameterization, steps: int) -> Tensor:
    """Linear in timesteps, without the lower end (Stability's generative-models)."""
    start, end = model.timestep(model.sigmas[-1]), model.timestep(model.sigmas[0])
    return _ended(model.sigma(torch.linspace(float(start), float(end), steps + 1)[:-1]))


def simple(model: Parameterization, steps: int) -> Tensor:
    """Every (timesteps / steps)-th sigma of the table, from the top."""
    stride = len(model.sigmas) / steps
    return _ended(torch.stack([model.sigmas[-(1 + int(step * stride))] for step in range(steps)]))


def ddim_uniform(model: Parameterization, steps: int) -> Tensor:
    """Every (timesteps // steps)-th sigma from the second, as DDIM's code; it may give a step more."""
    table = model.sigmas
    at_zero = math.isclose(float(table[1]), 0, abs_tol=_NEAR_ZERO)
    stride = max(len(table) // (steps + at_zero), 1)
    rising = table[1::stride]
    return rising.flip(0) if at_zero else _ended(rising.flip(0))


def beta(model: Parameterization, steps: int, *, alpha: float = 0.6, beta: float = 0.6) -> Tensor:
    """Quantiles of a beta distribution over timesteps, without repeats (Lee et al. 2024, arXiv 2407.12173)."""
    shares = 1 - np.linspace(0, 1, steps, endpoint=False)
    picked = np.rint(scipy.stats.beta.ppf(shares, alpha, beta) * (len(model.sigmas) - 1))
    return _ended(model.sigmas[list(dict.fromkeys(int(index) for index in picked))])


def linear_quadratic(
    model: Parameterization, steps: int, *, threshold_noise: float = 0.025, linear_steps: int | None = None
) -> Tensor:
    """First half linear, then quadratic (Polyak et al. 2024, "Movie Gen", section 3.4.2)."""
    top = float(model.sigmas[-1])
    if steps == 1:
        return torch.tensor([1.0, 0.0]) * top
    linear = steps // 2 if linear_steps is None else linear_steps
    quadratic = steps - linear
    gap = linear - threshold_noise * steps
    curve = gap / (linear * quadratic**2)
    slope = threshold_noise / linear - 2 * gap / quadratic**2
    first = [index * threshold_noise / linear for index in range(linear)]
    rest = [curve * index**2 + slope * index + curve * linear**2 for index in range(linear, steps)]
    return (1 - torch.tensor([*first, *rest, 1.0], dtype=torch.float64)).float() * top


def sd_turbo(model: Parameterization, steps: int, *, denoise: float = 1.0) -> Tensor:
    """The ten timesteps 999, 899, ... of turbo models (Sauer et al. 2023), from `denoise` down."""
    first = 10 - int(10 * denoise)
    timesteps = torch.arange(999, 0, -100)[first : first + steps]
    return _ended(model.sigma(timesteps))


ALIGN_YOUR_STEPS: Mapping[str, tuple[float, ...]] = MappingProxyType(
    {
        "SD1": (14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.029),
        "SDXL": (14.615, 6.315, 3.771, 2.181, 1.342, 0.862, 0.555, 0.380, 0.234, 0.113, 0.029),
        "SVD": (700.00, 54.5, 15.886, 7.977, 4.248, 1.789, 0.981, 0.403, 0.173, 0.034, 0.002),
    }
)
"""Sigmas of 10 steps (Sabour et al. 2024, arXiv 2404.14507, quick-start tables)."""


def align_your_steps(family: str, steps: int, *, denoise: float = 1.0) -> Tensor:
    """The published sigmas for 10 steps, interpolated log-linearly for other numbers; the last becomes 0.

    `denoise` below 1 keeps round(steps * denoise) of the steps.
    """
    if family not in ALIGN_YOUR_STEPS:
        known = ", ".join(ALIGN_YOUR_STEPS)
        raise InputError(f"Align Your Steps has no table for {family!r}; use one of {known}.")
    table = np.asarray(ALIGN_YOUR_STEPS[family])
    if steps + 1 != len(table):
        places = np.linspace(0, 1, steps + 1)
        table = np.exp(np.interp(places, np.linspace(0, 1, len(table)), np.log(table)))
    kept = steps if denoise >= 1 else round(steps * denoise)
    sigmas = torch.from_numpy(table[-(kept + 1) :].astype(np.float32))
    sigmas[-1] = 0
    return sigmas


def _between_ends(function: Callable[[int, float, float], Tensor]) -> Schedule:
    def schedule(model: Parameterization, steps: int) -> Tensor:
        return function(steps, float(model.sigmas[0]), float(model.sigmas[-1]))

    return schedule


SCHEDULES: Mapping[str, Schedule] = MappingProxyType(
    {
        "simple": simple,
        "sgm_uniform": sgm_uniform,
        "karras": _between_ends(karras),
        "exponential": _between_ends(exponential),
        "ddim_uniform": ddim_uniform,
        "beta": beta,
        "normal": normal,
        "linear_quadratic": linear_quadratic,
        "kl_optimal": _between_ends(kl_optimal),
    }
)
"""Schedules that need a model and a number of steps alone, by ComfyUI's names and in its order."""


def schedule_named(name: str) -> Schedule:
    """The schedule of this name; raises InputError with the nearest known one."""
    found = SCHEDULES.get(name)
    if found is None:
        near = difflib.get_close_matches(name, SCHEDULES, n=1)
        hint = f"did you mean {near[0]}?" if near else f"use one of {', '.join(SCHEDULES)}."
        raise InputError(f"There is no schedule called {name!r}; {hint}", code="unknown-schedule")
    return found


def scheduled_sigmas(
    name: str,
    model: Parameterization,
    steps: int,
    *,
    denoise: float = 1.0,
    drop_penultimate: bool = False,
) -> Tensor:
    """The sigmas of a run: shape (steps + 1,) as a rule, falling to 0.

    With `denoise` below 1 the schedule is made for int(steps / denoise) steps, and its last steps + 1 sigmas
    are kept; with 0 there are none. `drop_penultimate` makes one step more and leaves out the last but one
    sigma (dpm_2, dpm_2_ancestral, uni_pc, uni_pc_bh2 want it). Raises InputError for an unknown name or steps
    below 1.
    """
    if steps < 1:
        raise InputError(f"A schedule needs at least 1 step, not {steps}.", code="bad-steps")
    if denoise <= 0:
        return torch.zeros(0)
    partial = denoise <= 0.9999
    whole = int(steps / denoise) if partial else steps
    sigmas = schedule_named(name)(model, whole + drop_penultimate)
    if drop_penultimate:
        sigmas = torch.cat([sigmas[:-2], sigmas[-1:]])
    return sigmas[-(steps + 1) :] if partial else sigmas


def window(
    sigmas: Tensor, *, start: int | None = None, end: int | None = None, finish: bool = False
) -> Tensor:
    """The part of a schedule from step `start` to step `end`; empty if it starts after the end.

    A run that ends early keeps its last sigma's noise, unless `finish` sends it to 0 in its last step.
    """
    if end is not None and end < len(sigmas) - 1:
        sigmas = sigmas[: end + 1].clone()
        if finish and len(sigmas):
            sigmas[-1] = 0
    if start:
        sigmas = sigmas[start:] if start < len(sigmas) - 1 else sigmas[:0]
    return sigmas
