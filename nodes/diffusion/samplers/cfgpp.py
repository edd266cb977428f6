"""CFG++ samplers: the noise that is kept is the unconditional one (Chung et al. 2024, arXiv 2406.08070).

With guidance w in 0..2 or so, x is guided at its denoised end only: x_next = denoised + sigma_next *
noise_uncond.
"""

from __future__ import annotations

import torch
from torch import Tensor

from nodes.diffusion.samplers.protocol import PairSteps, SamplerRun, ancestral_step, intervals


def euler_ancestral_cfg_pp(
    x: Tensor, sigmas: Tensor, run: SamplerRun, *, eta: float = 1.0, s_noise: float = 1.0
) -> PairSteps:
    """Algorithm 2 (CFG++ with DDIM), stochastic where eta is above 0."""
    draw = run.noise.gaussian()
    for step, (sigma, sigma_next) in intervals(sigmas):
        sent = yield x, sigma, step
        if sigma_next == 0:
            x = sent.denoised
            continue
        alpha, alpha_next = run.process.alpha(sigma), run.process.alpha(sigma_next)
        noise = (x - alpha * sent.uncond_denoised) / sigma
        if alpha > 0:
            down, up = ancestral_step(sigma / alpha, sigma_next / alpha_next, eta)
        else:
            up = min(eta, 1.0) * sigma_next / alpha_next
            down = ((sigma_next / alpha_next) ** 2 - up**2) ** 0.5
        x = alpha_next * sent.denoised + alpha_next * down * noise
        if eta > 0 and s_noise > 0:
            x = x + alpha_next * draw(sigma, sigma_next) * s_noise * up
    return x


def euler_cfg_pp(x: Tensor, sigmas: Tensor, run: SamplerRun) -> PairSteps:
    """`euler_ancestral_cfg_pp` without fresh noise."""
    return euler_ancestral_cfg_pp(x, sigmas, run, eta=0.0, s_noise=0.0)


def dpmpp_2s_ancestral_cfg_pp(
    x: Tensor, sigmas: Tensor, run: SamplerRun, *, eta: float = 1.0, s_noise: float = 1.0
) -> PairSteps:
    """DPM-Solver++(2S) ancestral, with x moved by (denoised - unconditional) before it is shrunk.

    The second stage takes the unconditional prediction of the middle, as ComfyUI does.
    """
    draw = run.noise.gaussian()
    for step, (sigma, sigma_next) in intervals(sigmas):
        sent = yield x, sigma, step
        first = sent.denoised
        down, up = ancestral_step(sigma, sigma_next, eta)
        if down == 0:
            x = first
        else:
            middle = (sigma * down).sqrt()
            ratio = middle / sigma
            halfway = ratio * (x + (first - sent.uncond_denoised)) + (1 - ratio) * first
            sent = yield halfway, middle, step
            ratio = down / sigma
            x = ratio * (x + (first - sent.uncond_denoised)) + (1 - ratio) * sent.denoised
        if sigma_next > 0:
            x = x + draw(sigma, sigma_next) * s_noise * up
    return x


def dpmpp_2m_cfg_pp(x: Tensor, sigmas: Tensor, run: SamplerRun) -> PairSteps:
    """DPM-Solver++(2M) whose memory is of unconditional predictions."""
    previous: Tensor | None = None
    h_previous = torch.zeros(())
    for step, (sigma, sigma_next) in intervals(sigmas):
        sent = yield x, sigma, step
        h = sigma.log() - sigma_next.log()
        ratio = sigma_next / sigma
        x = sent.denoised + ratio * (x - sent.uncond_denoised)
        if previous is not None and sigma_next > 0:
            x = x + (1 - ratio) * (h / (2 * h_previous)) * (sent.denoised - previous)
        previous, h_previous = sent.uncond_denoised, h
    return x
