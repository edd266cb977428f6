"""Solvers of the reverse-time SDE: SEEDS (exponential, multi-stage) and ER-SDE (extended reverse time)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from nodes.diffusion.samplers.protocol import SamplerRun, Steps, finite_snr, intervals


def _phi_2(h: Tensor) -> Tensor:
    """(e^h - 1 - h) / h, the second-order weight of an exponential integrator, times h."""
    return (h.expm1() - h) / h


class _Path:
    """The noise gathered along one step of a SEEDS solver, in units of its sigma."""

    def __init__(self, run: SamplerRun, eta: float, s_noise: float) -> None:
        self._draw = run.noise.gaussian()
        self._eta = eta if s_noise > 0 else 0.0
        self._s_noise = s_noise
        self._gathered: Tensor | None = None

    def begin(self) -> None:
        """Forget the step before."""
        self._gathered = None

    def add_to(self, x: Tensor, h: Tensor, start: Tensor, end: Tensor) -> Tensor:
        """x with the noise of the way from `start` to `end` (h in log SNR), and of what came before it."""
        if self._eta <= 0:
            return x
        fresh = (-2 * h * self._eta).expm1().neg().sqrt() * self._draw(start, end)
        kept = 0.0 if self._gathered is None else self._gathered * (-h * self._eta).exp()
        self._gathered = kept + fresh
        return x + self._gathered * end * self._s_noise


def seeds_2(
    x: Tensor,
    sigmas: Tensor,
    run: SamplerRun,
    *,
    eta: float = 1.0,
    s_noise: float = 1.0,
    r: float = 0.5,
    solver_type: Literal["phi_1", "phi_2"] = "phi_1",
) -> Steps:
    """SEEDS-2, two stages (Gonzalez et al. 2023, arXiv 2305.14267, algorithm 2)."""
    process, path = run.process, _Path(run, eta, s_noise)
    for step, (sigma, sigma_next) in intervals(finite_snr(sigmas, run)):
        denoised = yield x, sigma, step
        if sigma_next == 0:
            x = denoised
            continue
        path.begin()
        time, time_next = process.half_log_snr(sigma), process.half_log_snr(sigma_next)
        h = time_next - time
        h_eta = h * (1 + eta)
        inner = process.sigma(torch.lerp(time, time_next, r))
        ahead = inner / sigma * (-r * h * eta).exp() * x
        ahead = ahead - process.alpha(inner) * (-r * h_eta).expm1() * denoised
        second = yield path.add_to(ahead, r * h, sigma, inner), inner, step
        total = (-h_eta).expm1()
        share = total / (2 * r) if solver_type == "phi_1" else _phi_2(-h_eta) / r
        x = sigma_next / sigma * (-h * eta).exp() * x
        x = x - process.alpha(sigma_next) * ((total - share) * denoised + share * second)
        x = path.add_to(x, (1 - r) * h, inner, sigma_next)
    return x


def exp_heun_2_x0(x: Tensor, sigmas: Tensor, run: SamplerRun) -> Steps:
    """Exponential Heun for the denoised prediction: SEEDS-2 without noise, its second stage at the end."""
    return seeds_2(x, sigmas, run, eta=0.0, s_noise=0.0, r=1.0, solver_type="phi_2")


def exp_heun_2_x0_sde(
    x: Tensor, sigmas: Tensor, run: SamplerRun, *, eta: float = 1.0, s_noise: float = 1.0
) -> Steps:
    """`exp_heun_2_x0` for the SDE."""
    return seeds_2(x, sigmas, run, eta=eta, s_noise=s_noise, r=1.0, solver_type="phi_2")


def seeds_3(
    x: Tensor,
    sigmas: Tensor,
    run: SamplerRun,
    *,
    eta: float = 1.0,
    s_noise: float = 1.0,
    r_1: float = 1 / 3,
    r_2: float = 2 / 3,
) -> Steps:
    """SEEDS-3, three stages (Gonzalez et al. 2023, algorithm 3)."""
    process, path = run.process, _Path(run, eta, s_noise)
    for step, (sigma, sigma_next) in intervals(finite_snr(sigmas, run)):
        denoised = yield x, sigma, step
        if sigma_next == 0:
            x = denoised
            continue
        path.begin()
        time, time_next = process.half_log_snr(sigma), process.half_log_snr(sigma_next)
        h = time_next - time
        h_eta = h * (1 + eta)
        one = process.sigma(torch.lerp(time, time_next, r_1))
        two = process.sigma(torch.lerp(time, time_next, r_2))

        ahead = one / sigma * (-r_1 * h * eta).exp() * x
        ahead = ahead - process.alpha(one) * (-r_1 * h_eta).expm1() * denoised
        second = yield path.add_to(ahead, r_1 * h, sigma, one), one, step

        share = r_2 / r_1 * _phi_2(-r_2 * h_eta)
        rest = (-r_2 * h_eta).expm1() - share
        ahead = two / sigma * (-r_2 * h * eta).exp() * x
        ahead = ahead - process.alpha(two) * (rest * denoised + share * second)
        third = yield path.add_to(ahead, (r_2 - r_1) * h, one, two), two, step

        share = _phi_2(-h_eta) / r_2
        rest = (-h_eta).expm1() - share
        x = sigma_next / sigma * (-h * eta).exp() * x
        x = x - process.alpha(sigma_next) * (rest * denoised + share * third)
        x = path.add_to(x, (1 - r_2) * h, two, sigma_next)
    return x


_ER_POINTS = 200


def _noise_scale(solver_type: str, eta: float) -> Callable[[Tensor], Tensor]:
    """phi(lambda) of ER-SDE: how the SDE departs from the ODE (Cui et al. 2023, section 4)."""
    if solver_type == "ER-SDE":
        return lambda ratio: ratio * ((ratio**0.3).exp() + 10)
    power = 1 + (eta if solver_type == "Reverse-time SDE" else 0.0)
    return lambda ratio: ratio**power


def er_sde(
    x: Tensor,
    sigmas: Tensor,
    run: SamplerRun,
    *,
    solver_type: Literal["ER-SDE", "Reverse-time SDE", "ODE"] = "ER-SDE",
    eta: float = 1.0,
    s_noise: float = 1.0,
    max_stage: int = 3,
) -> Steps:
    """Extended reverse-time SDE solver of order 1 to 3 (Cui et al. 2023, arXiv 2309.06169)."""
    draw, scale = run.noise.gaussian(), _noise_scale(solver_type, eta)
    s_noise = 0.0 if solver_type == "ODE" else s_noise
    sigmas = finite_snr(sigmas, run)
    ratios = sigmas / run.process.alpha(sigmas)
    points = torch.arange(_ER_POINTS, dtype=sigmas.dtype)
    previous = previous_slope = x
    for step, (sigma, sigma_next) in intervals(sigmas):
        denoised = yield x, sigma, step
        if sigma_next == 0:
            x = denoised
            continue
        now, then = ratios[step], ratios[step + 1]
        alpha = run.process.alpha(sigma_next)
        shrink = scale(then) / scale(now)
        x = alpha / run.process.alpha(sigma) * shrink * x + alpha * (1 - shrink) * denoised
        stage = min(max_stage, step + 1)
        if stage >= 2:
            dt = then - now
            width = -dt / _ER_POINTS
            places = then + points * width
            slope = (denoised - previous) / (now - ratios[step - 1])
            area = (1 / scale(places)).sum() * width
            x = x + alpha * (dt + area * scale(then)) * slope
            if stage >= 3:
                bend = (slope - previous_slope) / ((now - ratios[step - 2]) / 2)
                moment = ((places - now) / scale(places)).sum() * width
                x = x + alpha * (dt**2 / 2 + moment * scale(then)) * bend
            previous_slope = slope
        if s_noise > 0:
            spread = (then**2 - now**2 * shrink**2).sqrt().nan_to_num(nan=0.0)
            x = x + alpha * draw(sigma, sigma_next) * s_noise * spread
        previous = denoised
    return x
