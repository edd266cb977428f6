"""DPM-Solver (Lu et al. 2022, arXiv 2206.00927): single steps of order 1 to 3 for the predicted noise.

These samplers choose their own steps in t = -log(sigma) between the largest and the smallest sigma of the
schedule, and end at the latter. Rewritten from the formulas of the paper and k-diffusion's step-size control.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from nodes.diffusion.samplers.protocol import Query, SamplerRun, Steps, ancestral_step

Stage = Generator[Query, Tensor, Tensor]
"""Part of a sampler, that asks for predictions of its own."""


def _sigma(t: Tensor) -> Tensor:
    return (-t).exp()


def _order_1(x: Tensor, t: Tensor, end: Tensor, noise: Tensor) -> Tensor:
    return x - _sigma(end) * (end - t).expm1() * noise


def _noise_at(x: Tensor, t: Tensor, step: int) -> Stage:
    denoised = yield x, _sigma(t), step
    return (x - denoised) / _sigma(t)


def _middle(x: Tensor, t: Tensor, end: Tensor, noise: Tensor, share: float, step: int) -> Stage:
    """The predicted noise at a share of the step."""
    between = t + share * (end - t)
    return (yield from _noise_at(_order_1(x, t, between, noise), between, step))


def _order_2(x: Tensor, t: Tensor, end: Tensor, noise: Tensor, inner: Tensor, share: float) -> Tensor:
    growth = _sigma(end) * (end - t).expm1()
    return x - growth * noise - growth / (2 * share) * (inner - noise)


def _order_3(x: Tensor, t: Tensor, end: Tensor, noise: Tensor, inner: Tensor, step: int) -> Stage:
    """The step of order 3 with r1 = 1/3 (whose noise is `inner`) and r2 = 2/3."""
    h = end - t
    two_thirds = t + 2 / 3 * h
    part = (2 / 3 * h).expm1()
    ahead = _sigma(two_thirds)
    u = x - ahead * part * noise - ahead * 2 * (part / (2 / 3 * h) - 1) * (inner - noise)
    outer = yield from _noise_at(u, two_thirds, step)
    growth = h.expm1()
    bend = _sigma(end) * 1.5 * (growth / h - 1)
    return x - _sigma(end) * growth * noise - bend * (outer - noise)


def _range(sigmas: Tensor) -> tuple[Tensor, Tensor]:
    last = sigmas[-1] if sigmas[-1] > 0 else sigmas[-2]
    return -sigmas[0].log(), -last.log()


def _with_noise(t: Tensor, end: Tensor, final: Tensor, eta: float) -> tuple[Tensor, Tensor]:
    """Where the deterministic part of a step ends, and how much noise follows it."""
    if not eta:
        return end, torch.zeros_like(end)
    down, _ = ancestral_step(_sigma(t), _sigma(end), eta)
    target = torch.minimum(final, -down.log())
    return target, (_sigma(end) ** 2 - _sigma(target) ** 2).clamp(min=0).sqrt()


def dpm_fast(x: Tensor, sigmas: Tensor, run: SamplerRun, *, eta: float = 0.0, s_noise: float = 1.0) -> Steps:
    """DPM-Solver-fast (section 3.4): one evaluation for each step of the schedule, in orders 3, 2, 1."""
    if len(sigmas) == 2 and sigmas[1] == 0:
        return (yield x, sigmas[0], 0)
    draw = run.noise.gaussian()
    first, final = _range(sigmas)
    budget = len(sigmas) - 1
    count = budget // 3 + 1
    rest = [2, 1] if budget % 3 == 0 else [budget % 3]
    orders = [3] * (count - len(rest)) + rest
    times = torch.linspace(float(first), float(final), count + 1, dtype=sigmas.dtype)
    asked = 0
    for order, t, end in zip(orders, times[:-1], times[1:], strict=True):
        target, spread = _with_noise(t, end, final, eta)
        noise = yield from _noise_at(x, t, asked)
        if order == 1:
            x = _order_1(x, t, target, noise)
        elif order == 2:
            inner = yield from _middle(x, t, target, noise, 0.5, asked + 1)
            x = _order_2(x, t, target, noise, inner, 0.5)
        else:
            inner = yield from _middle(x, t, target, noise, 1 / 3, asked + 1)
            x = yield from _order_3(x, t, target, noise, inner, asked + 2)
        if eta:
            x = x + spread * s_noise * draw(_sigma(t), _sigma(end))
        asked += order
    return x


@dataclass(slots=True, kw_only=True)
class StepSize:
    """A controller of step sizes from local errors (PID, Söderlind 2003): `size` is the step to try next."""

    size: float
    proportional: float
    integral: float
    derivative: float
    order: float
    accept_safety: float
    _inverse_errors: list[float] = field(default_factory=list)

    def accept(self, error: float) -> bool:
        """True if a step with this error may stand; chooses the next size either way."""
        inverse = 1 / (error + 1e-8)
        if not self._inverse_errors:
            self._inverse_errors = [inverse, inverse, inverse]
        self._inverse_errors[0] = inverse
        gains = (
            (self.proportional + self.integral + self.derivative) / self.order,
            -(self.proportional + 2 * self.derivative) / self.order,
            self.derivative / self.order,
        )
        factor = math.prod(past**gain for past, gain in zip(self._inverse_errors, gains, strict=True))
        factor = 1 + math.atan(factor - 1)
        accepted = factor >= self.accept_safety
        if accepted:
            newest, before, _ = self._inverse_errors
            self._inverse_errors = [newest, newest, before]
        self.size *= factor
        return accepted


def dpm_adaptive(
    x: Tensor,
    sigmas: Tensor,
    run: SamplerRun,
    *,
    order: int = 3,
    rtol: float = 0.05,
    atol: float = 0.0078,
    h_init: float = 0.05,
    pcoeff: float = 0.0,
    icoeff: float = 1.0,
    dcoeff: float = 0.0,
    accept_safety: float = 0.81,
    eta: float = 0.0,
    s_noise: float = 1.0,
) -> Steps:
    """DPM-Solver-12 and -23 (algorithms 3 and 4): step sizes are found by comparing two orders.

    Of the schedule only its ends matter; steps are reported by the share of the way done.
    """
    if len(sigmas) == 2 and sigmas[1] == 0:
        return (yield x, sigmas[0], 0)
    draw = run.noise.gaussian()
    t, final = _range(sigmas)
    begun, steps = t, len(sigmas) - 1
    control = StepSize(
        size=h_init,
        proportional=pcoeff,
        integral=icoeff,
        derivative=dcoeff,
        order=1.5 if eta else order,
        accept_safety=accept_safety,
    )
    x_low = x
    while t < final - 1e-5:
        step = int((t - begun) / (final - begun) * steps)
        end = torch.minimum(final, t + control.size)
        target, spread = _with_noise(t, end, final, eta)
        noise = yield from _noise_at(x, t, step)
        share = 0.5 if order == 2 else 1 / 3
        inner = yield from _middle(x, t, target, noise, share, step)
        low = _order_1(x, t, target, noise)
        high = _order_2(x, t, target, noise, inner, share)
        if order == 3:
            low, high = high, (yield from _order_3(x, t, target, noise, inner, step))
        scale = torch.maximum(torch.full_like(low, atol), rtol * torch.maximum(low.abs(), x_low.abs()))
        error = torch.linalg.vector_norm((low - high) / scale) / x.numel() ** 0.5
        if control.accept(float(error)):
            x_low, x, t = low, high, end
            if eta:
                x = x + spread * s_noise * draw(_sigma(t), _sigma(end))
    return x
