"""DPM-Solver++ (Lu et al. 2022, arXiv 2211.01095): exponential integrators for the denoised prediction.

Time is lambda = log(alpha / sigma). A step of size h from sigma to sigma_next is
    x = (sigma_next / sigma) x - alpha_next expm1(-h) D,
where D is the prediction (order 1), or its extrapolation to the middle of the step.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from nodes.diffusion.samplers.protocol import (
    SamplerRun,
    Steps,
    ancestral_step,
    finite_snr,
    flow_ancestral_step,
    intervals,
)


def dpmpp_2m(x: Tensor, sigmas: Tensor, run: SamplerRun) -> Steps:
    """Second-order multistep (algorithm 2), one evaluation a step. Flows are taken in log sigma as well."""
    previous: Tensor | None = None
    h_previous = torch.zeros(())
    for step, (sigma, sigma_next) in intervals(sigmas):
        denoised = yield x, sigma, step
        h = sigma.log() - sigma_next.log()
        target = denoised
        if previous is not None and sigma_next > 0:
            r = h_previous / h
            target = (1 + 1 / (2 * r)) * denoised - (1 / (2 * r)) * previous
        x = (sigma_next / sigma) * x - (-h).expm1() * target
        previous, h_previous = denoised, h
    return x


def dpmpp_2s_ancestral(
    x: Tensor, sigmas: Tensor, run: SamplerRun, *, eta: float = 1.0, s_noise: float = 1.0
) -> Steps:
    """Second-order single steps (algorithm 1 with r = 1/2) to sigma_down, then fresh noise (k-diffusion)."""
    draw = run.noise.gaussian()
    for step, (sigma, sigma_next) in intervals(sigmas):
        denoised = yield x, sigma, step
        if run.process.flow:
            back = flow_ancestral_step(sigma, sigma_next, eta)
            down, keep, up = back.sigma_down, back.keep, back.add
        else:
            down, up = ancestral_step(sigma, sigma_next, eta)
            keep = run.process.alpha(sigma_next)
        if sigma_next == 0 or down == 0:
            x = denoised
        else:
            middle = _middle(sigma, down, run)
            halfway = (middle / sigma) * x + (1 - middle / sigma) * denoised
            denoised = yield halfway, middle, step
            x = (down / sigma) * x + (1 - down / sigma) * denoised
        if sigma_next > 0:
            x = keep * x + draw(sigma, sigma_next) * s_noise * up
    return x


def _middle(sigma: Tensor, down: Tensor, run: SamplerRun) -> Tensor:
    """The sigma half-way in lambda; a hair below 1 where a flow starts from pure noise."""
    if run.process.flow and sigma >= 1:
        return torch.full_like(sigma, 0.9999)
    start, end = run.process.half_log_snr(sigma), run.process.half_log_snr(down)
    return run.process.sigma(start + 0.5 * (end - start))


def dpmpp_sde(
    x: Tensor,
    sigmas: Tensor,
    run: SamplerRun,
    *,
    eta: float = 1.0,
    s_noise: float = 1.0,
    r: float = 0.5,
) -> Steps:
    """DPM-Solver++ (stochastic): two evaluations a step and Brownian noise (k-diffusion)."""
    process = run.process
    sigmas = finite_snr(sigmas, run)
    draw = run.noise.brownian(sigmas)

    def stride(x: Tensor, start: Tensor, end: Tensor, target: Tensor) -> Tensor:
        """From sigma `start` to `end` along `target`: an ancestral step, taken exactly."""
        scaled_start, scaled_end = start / process.alpha(start), end / process.alpha(end)
        down, up = ancestral_step(scaled_start, scaled_end, eta)
        alpha = process.alpha(end)
        ratio = down / scaled_start
        x = alpha / process.alpha(start) * ratio * x + alpha * (1 - ratio) * target
        if eta > 0 and s_noise > 0:
            x = x + alpha * draw(start, end) * s_noise * up
        return x

    for step, (sigma, sigma_next) in intervals(sigmas):
        denoised = yield x, sigma, step
        if sigma_next == 0:
            x = denoised
            continue
        time, time_next = process.half_log_snr(sigma), process.half_log_snr(sigma_next)
        middle = process.sigma(time + r * (time_next - time))
        second = yield stride(x, sigma, middle, denoised), middle, step
        share = 1 / (2 * r)
        x = stride(x, sigma, sigma_next, (1 - share) * denoised + share * second)
    return x


def dpmpp_2m_sde(
    x: Tensor,
    sigmas: Tensor,
    run: SamplerRun,
    *,
    eta: float = 1.0,
    s_noise: float = 1.0,
    solver_type: Literal["midpoint", "heun"] = "midpoint",
) -> Steps:
    """Second-order multistep for the SDE (DPM-Solver++ (2M) SDE, k-diffusion), with Brownian noise."""
    sigmas = finite_snr(sigmas, run)
    draw = run.noise.brownian(sigmas)
    previous: Tensor | None = None
    h_previous = torch.zeros(())
    for step, (sigma, sigma_next) in intervals(sigmas):
        denoised = yield x, sigma, step
        if sigma_next == 0:
            x = denoised
            continue
        h = run.process.half_log_snr(sigma_next) - run.process.half_log_snr(sigma)
        h_eta = h * (1 + eta)
        alpha = run.process.alpha(sigma_next)
        reach = -(-h_eta).expm1()
        x = sigma_next / sigma * (-h * eta).exp() * x + alpha * reach * denoised
        if previous is not None:
            weight = 1 - reach / h_eta if solver_type == "heun" else 0.5 * reach
            x = x + alpha * weight * (h / h_previous) * (denoised - previous)
        if eta > 0 and s_noise > 0:
            spread = (-(-2 * h * eta).expm1()).sqrt()
            x = x + draw(sigma, sigma_next) * sigma_next * spread * s_noise
        previous, h_previous = denoised, h
    return x


def dpmpp_2m_sde_heun(
    x: Tensor, sigmas: Tensor, run: SamplerRun, *, eta: float = 1.0, s_noise: float = 1.0
) -> Steps:
    """`dpmpp_2m_sde` with the weights of Heun's method."""
    return dpmpp_2m_sde(x, sigmas, run, eta=eta, s_noise=s_noise, solver_type="heun")


def dpmpp_3m_sde(
    x: Tensor, sigmas: Tensor, run: SamplerRun, *, eta: float = 1.0, s_noise: float = 1.0
) -> Steps:
    """Third-order multistep for the SDE (k-diffusion), with Brownian noise."""
    sigmas = finite_snr(sigmas, run)
    draw = run.noise.brownian(sigmas)
    past: list[Tensor] = []
    sizes: list[Tensor] = []
    for step, (sigma, sigma_next) in intervals(sigmas):
        denoised = yield x, sigma, step
        if sigma_next == 0:
            x = denoised
            continue
        h = run.process.half_log_snr(sigma_next) - run.process.half_log_snr(sigma)
        h_eta = h * (1 + eta)
        alpha = run.process.alpha(sigma_next)
        x = sigma_next / sigma * (-h * eta).exp() * x - alpha * (-h_eta).expm1() * denoised
        phi_2 = (-h_eta).expm1() / h_eta + 1
        if len(past) == 1:
            x = x + alpha * phi_2 * (denoised - past[0]) * (h / sizes[0])
        elif len(past) == 2:
            r0, r1 = sizes[1] / h, sizes[0] / h
            newer, older = (denoised - past[1]) / r0, (past[1] - past[0]) / r1
            first = newer + (newer - older) * r0 / (r0 + r1)
            second = (newer - older) / (r0 + r1)
            phi_3 = phi_2 / h_eta - 0.5
            x = x + alpha * phi_2 * first - alpha * phi_3 * second
        if eta > 0 and s_noise > 0:
            spread = (-(-2 * h * eta).expm1()).sqrt()
            x = x + draw(sigma, sigma_next) * sigma_next * spread * s_noise
        past, sizes = [*past[-1:], denoised], [*sizes[-1:], h]
    return x
