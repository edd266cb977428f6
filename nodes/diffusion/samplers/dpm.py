"""Samplers inspired by DPM-Solver-2: a midpoint in log sigma (k-diffusion)."""

from __future__ import annotations

from torch import Tensor

from nodes.diffusion.samplers.euler import churn_rate, churned
from nodes.diffusion.samplers.protocol import (
    SamplerRun,
    Steps,
    ancestral_step,
    flow_ancestral_step,
    intervals,
)


def _between(sigma: Tensor, sigma_next: Tensor) -> Tensor:
    return sigma.log().lerp(sigma_next.log(), 0.5).exp()


def dpm_2(
    x: Tensor,
    sigmas: Tensor,
    run: SamplerRun,
    *,
    s_churn: float = 0.0,
    s_tmin: float = 0.0,
    s_tmax: float = float("inf"),
    s_noise: float = 1.0,
) -> Steps:
    """Midpoint steps (DPM-Solver-2, Lu et al. 2022, algorithm 1; Karras et al. 2022, algorithm 2)."""
    draw = run.noise.gaussian()
    for step, (sigma, sigma_next) in intervals(sigmas):
        gamma = churn_rate(sigma, len(sigmas) - 1, s_churn, s_tmin, s_tmax)
        x, sigma = churned(x, sigma, gamma, s_noise, draw)
        denoised = yield x, sigma, step
        slope = (x - denoised) / sigma
        if sigma_next > 0:
            middle = _between(sigma, sigma_next)
            halfway = x + slope * (middle - sigma)
            denoised = yield halfway, middle, step
            slope = (halfway - denoised) / middle
        x = x + slope * (sigma_next - sigma)
    return x


def dpm_2_ancestral(
    x: Tensor, sigmas: Tensor, run: SamplerRun, *, eta: float = 1.0, s_noise: float = 1.0
) -> Steps:
    """`dpm_2` with ancestral steps: the midpoint lies on the way to sigma_down (k-diffusion)."""
    draw = run.noise.gaussian()
    for step, (sigma, sigma_next) in intervals(sigmas):
        denoised = yield x, sigma, step
        slope = (x - denoised) / sigma
        if run.process.flow:
            back = flow_ancestral_step(sigma, sigma_next, eta)
            down, keep, up = back.sigma_down, back.keep, back.add
        else:
            down, up = ancestral_step(sigma, sigma_next, eta)
            keep = run.process.alpha(sigma_next)
        if down > 0:
            middle = _between(sigma, down)
            halfway = x + slope * (middle - sigma)
            denoised = yield halfway, middle, step
            slope = (halfway - denoised) / middle
        x = x + slope * (down - sigma)
        if sigma_next > 0:
            x = keep * x + draw(sigma, sigma_next) * s_noise * up
    return x
