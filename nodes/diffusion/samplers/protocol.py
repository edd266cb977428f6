"""What a sampler is, and what it may use.

A sampler is a generator: it yields `x, sigma, step` (step counts the intervals of `sigmas`, and stays the
same for all evaluations within one), is sent the denoised x there, and returns the last x. It knows no
network, no guidance, no progress. All its state is in its frame, so a run can stop, wait or be dropped at any
yield.

    def euler(x, sigmas, run):
        for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
            denoised = yield x, sigma, step
            x = x + (x - denoised) / sigma * (sigma_next - sigma)
        return x

CFG++ samplers also need the unconditional prediction; they are sent a `DenoisedPair` instead.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from nodes.diffusion.noise import NoiseSource
from nodes.diffusion.parameterization import NoiseProcess

Query = tuple[Tensor, Tensor, int]
"""x (batch, channels, height, width), sigma (0-d), and the step that asks."""

Steps = Generator[Query, Tensor, Tensor]
"""A running sampler."""


@dataclass(frozen=True, slots=True, eq=False)
class DenoisedPair:
    """The guided prediction of x0, and the unconditional one beside it."""

    denoised: Tensor
    uncond_denoised: Tensor


PairSteps = Generator[Query, DenoisedPair, Tensor]
"""A running CFG++ sampler."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SamplerRun:
    """What a run gives its sampler: fresh noise, the noise process, and sigmas by share of the schedule."""

    noise: NoiseSource
    process: NoiseProcess = NoiseProcess()
    sigma_at: Callable[[float], float] = lambda share: 1 - share


def intervals(sigmas: Tensor) -> Iterator[tuple[int, tuple[Tensor, Tensor]]]:
    """The steps of a schedule: their number, and the sigmas they lead from and to (0-d)."""
    return enumerate(pairwise(sigmas.unbind()))


def finite_snr(sigmas: Tensor, run: SamplerRun) -> Tensor:
    """The schedule, begun a hair later if pure noise (sigma 1 of a flow) would make log SNR infinite."""
    if not run.process.flow or len(sigmas) < 2 or sigmas[0] < 1:
        return sigmas
    first = torch.tensor([run.sigma_at(1e-4)], dtype=sigmas.dtype)
    return torch.cat([first, sigmas[1:]])


def ancestral_step(sigma: Tensor, sigma_next: Tensor, eta: float) -> tuple[Tensor, Tensor]:
    """(sigma_down, sigma_up): go down to the one, add noise of the other, and be at sigma_next.

    The split of DDPM for eta 1 (Ho et al. 2020, eq. 7), none for eta 0 (Song et al. 2020, "DDIM", eq. 16).
    """
    if not eta:
        return sigma_next, torch.zeros_like(sigma_next)
    spread = (sigma_next**2 * (sigma**2 - sigma_next**2) / sigma**2) ** 0.5
    up = torch.minimum(sigma_next, eta * spread)
    return (sigma_next**2 - up**2) ** 0.5, up


@dataclass(frozen=True, slots=True, eq=False)
class Renoise:
    """How an ancestral step of a rectified flow returns to sigma_next: x = keep * x + add * noise."""

    sigma_down: Tensor
    keep: Tensor
    add: Tensor


def flow_ancestral_step(sigma: Tensor, sigma_next: Tensor, eta: float) -> Renoise:
    """`ancestral_step` for x = (1 - sigma) x0 + sigma noise: go further down, then scale and add noise."""
    down = sigma_next * (1 + (sigma_next / sigma - 1) * eta)
    keep = (1 - sigma_next) / (1 - down)
    return Renoise(down, keep, (sigma_next**2 - down**2 * keep**2).clamp(min=0) ** 0.5)
