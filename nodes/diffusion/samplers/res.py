"""Refined exponential solver and gradient estimation, each plain and as CFG++."""

from __future__ import annotations

from collections.abc import Generator

import torch
from torch import Tensor

from nodes.diffusion.samplers.protocol import (
    DenoisedPair,
    PairSteps,
    Query,
    SamplerRun,
    Steps,
    ancestral_step,
    intervals,
)


def _doubled(steps: PairSteps) -> Steps:
    """A CFG++ sampler run with the guided prediction in place of the unconditional one."""
    query: Query = next(steps)
    while True:
        denoised = yield query
        try:
            query = steps.send(DenoisedPair(denoised, denoised))
        except StopIteration as finished:
            result: Tensor = finished.value
            return result


def _res(
    x: Tensor, sigmas: Tensor, run: SamplerRun, eta: float, s_noise: float
) -> Generator[Query, DenoisedPair, Tensor]:
    """Second-order exponential multistep (Zhang et al. 2023, arXiv 2308.02157, algorithm 2)."""
    draw = run.noise.gaussian()
    previous: Tensor | None = None
    previous_down = sigmas[0]
    for step, (sigma, sigma_next) in intervals(sigmas):
        sent = yield x, sigma, step
        down, up = ancestral_step(sigma, sigma_next, eta)
        base = sent.uncond_denoised
        if down == 0 or previous is None:
            x = sent.denoised + (x - base) * (down / sigma)
        else:
            h = sigma.log() - down.log()
            c2 = (previous_down.log() - sigmas[step - 1].log()) / h
            phi_1 = (-h).expm1() / -h
            phi_2 = (phi_1 - 1) / -h
            older = torch.nan_to_num(phi_2 / c2, nan=0.0)
            newer = torch.nan_to_num(phi_1 - phi_2 / c2, nan=0.0)
            x = (-h).exp() * (x + (sent.denoised - base)) + h * (newer * base + older * previous)
        if sigma_next > 0 and eta > 0:
            x = x + draw(sigma, sigma_next) * s_noise * up
        previous, previous_down = base, down
    return x


def res_multistep(x: Tensor, sigmas: Tensor, run: SamplerRun) -> Steps:
    """Refined exponential solver, deterministic."""
    return _doubled(_res(x, sigmas, run, 0.0, 1.0))


def res_multistep_ancestral(
    x: Tensor, sigmas: Tensor, run: SamplerRun, *, eta: float = 1.0, s_noise: float = 1.0
) -> Steps:
    """Refined exponential solver with ancestral noise."""
    return _doubled(_res(x, sigmas, run, eta, s_noise))


def res_multistep_cfg_pp(x: Tensor, sigmas: Tensor, run: SamplerRun) -> PairSteps:
    """Refined exponential solver as CFG++."""
    return _res(x, sigmas, run, 0.0, 1.0)


def res_multistep_ancestral_cfg_pp(
    x: Tensor, sigmas: Tensor, run: SamplerRun, *, eta: float = 1.0, s_noise: float = 1.0
) -> PairSteps:
    """Refined exponential solver as CFG++, with ancestral noise."""
    return _res(x, sigmas, run, eta, s_noise)


def gradient_estimation_cfg_pp(
    x: Tensor, sigmas: Tensor, run: SamplerRun, *, ge_gamma: float = 2.0
) -> PairSteps:
    """Gradient estimation as CFG++: slopes are those of the unconditional prediction."""
    previous: Tensor | None = None
    for step, (sigma, sigma_next) in intervals(sigmas):
        sent = yield x, sigma, step
        slope = (x - sent.uncond_denoised) / sigma
        if sigma_next == 0:
            x = sent.denoised
        else:
            dt = sigma_next - sigma
            x = x + (sent.denoised - sent.uncond_denoised) + slope * dt
            if previous is not None:
                x = x + (ge_gamma - 1) * (slope - previous) * dt
        previous = slope
    return x


def gradient_estimation(x: Tensor, sigmas: Tensor, run: SamplerRun, *, ge_gamma: float = 2.0) -> Steps:
    """Euler with the slope corrected by its change (Permenter & Yuan 2024, arXiv 2306.04848, algorithm 2)."""
    return _doubled(gradient_estimation_cfg_pp(x, sigmas, run, ge_gamma=ge_gamma))
