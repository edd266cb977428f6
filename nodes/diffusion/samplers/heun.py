"""Heun's method and a relative with three evaluations."""

from __future__ import annotations

from torch import Tensor

from nodes.diffusion.samplers.euler import churn_rate, churned
from nodes.diffusion.samplers.protocol import SamplerRun, Steps, intervals


def heun(
    x: Tensor,
    sigmas: Tensor,
    run: SamplerRun,
    *,
    s_churn: float = 0.0,
    s_tmin: float = 0.0,
    s_tmax: float = float("inf"),
    s_noise: float = 1.0,
) -> Steps:
    """Second order: Euler, then again with the mean of both slopes (Karras et al. 2022, algorithm 2)."""
    draw = run.noise.gaussian()
    for step, (sigma, sigma_next) in intervals(sigmas):
        gamma = churn_rate(sigma, len(sigmas) - 1, s_churn, s_tmin, s_tmax)
        x, sigma = churned(x, sigma, gamma, s_noise, draw)
        denoised = yield x, sigma, step
        slope = (x - denoised) / sigma
        dt = sigma_next - sigma
        if sigma_next > 0:
            ahead = x + slope * dt
            denoised = yield ahead, sigma_next, step
            slope = (slope + (ahead - denoised) / sigma_next) / 2
        x = x + slope * dt
    return x


def heunpp2(x: Tensor, sigmas: Tensor, run: SamplerRun) -> Steps:
    """Heun++: slopes at this and the two next sigmas, weighed by sigma over the largest (Ning et al. 2023).

    The last step is Euler, the one before it has two slopes.
    """
    last = len(sigmas) - 2
    for step, (sigma, sigma_next) in intervals(sigmas):
        denoised = yield x, sigma, step
        slope = (x - denoised) / sigma
        dt = sigma_next - sigma
        if step < last:
            ahead = x + slope * dt
            denoised = yield ahead, sigma_next, step
            second = (ahead - denoised) / sigma_next
            if step == last - 1:
                share = sigma_next / (2 * sigmas[0])
                slope = slope * (1 - share) + second * share
            else:
                after = sigmas[step + 2]
                further = ahead + second * (after - sigma_next)
                denoised = yield further, after, step
                third = (further - denoised) / after
                share, rest = sigma_next / (3 * sigmas[0]), after / (3 * sigmas[0])
                slope = slope * (1 - share - rest) + second * share + third * rest
        x = x + slope * dt
    return x
