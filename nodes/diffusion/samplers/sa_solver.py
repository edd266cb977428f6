"""SA-Solver: stochastic Adams predictor and corrector (Xue et al. 2023, arXiv 2309.05019)."""

from __future__ import annotations

import torch
from torch import Tensor

from nodes.diffusion.samplers.protocol import SamplerRun, Steps, finite_snr, intervals


def _moments(span: Tensor, rate: float, count: int) -> Tensor:
    """Integrals of rate * e^(rate u) * u^p over [-span, 0], p = 0, 1, ... (by parts)."""
    decay = (-rate * span).exp()
    values = [1 - decay]
    for power in range(1, count):
        values.append(-((-span) ** power) * decay - power / rate * values[-1])
    return torch.stack(values)


def adams_weights(times: Tensor, end: Tensor, start: Tensor, tau: float) -> Tensor:
    """Weights of predictions at `times` for the step start -> end (eq. 14-17), before the factor alpha(end).

    (1 + tau^2) times the integral of e^((1 + tau^2)(t - end)) and each Lagrange polynomial; float64.
    """
    rate = 1 + tau**2
    nodes = times.double() - end.double()
    moments = _moments(end.double() - start.double(), rate, len(nodes))
    vandermonde = torch.vander(nodes, increasing=True).T
    weights: Tensor = torch.linalg.solve(vandermonde, moments)
    return weights


def _simple_weights(times: Tensor, end: Tensor, start: Tensor, tau: float, corrector: bool) -> Tensor:
    """The shorter formulas for two points, of the authors' code: (older, newer)."""
    rate, h = 1 + tau**2, (end - start).double()
    total = -(-h * rate).expm1()
    if corrector:
        newer = 0.5 * rate * h
        return torch.stack([total - newer, newer])
    older = 0.5 * rate * h**2 / (times[0] - start).double()
    return torch.stack([older, total - older])


def sa_solver(
    x: Tensor,
    sigmas: Tensor,
    run: SamplerRun,
    *,
    eta: float = 1.0,
    s_noise: float = 1.0,
    sde_start_percent: float = 0.2,
    sde_end_percent: float = 0.8,
    predictor_order: int = 3,
    corrector_order: int = 4,
    simple_order_2: bool = False,
    use_pece: bool = False,
) -> Steps:
    """Algorithm 1: tau is `eta` between the two shares of the schedule, and 0 (an ODE) outside.

    With `use_pece` the corrected x is evaluated again, which doubles the evaluations.
    """
    draw = run.noise.gaussian()
    high, low = run.sigma_at(sde_start_percent), run.sigma_at(sde_end_percent)
    times = run.process.half_log_snr(finite_snr(sigmas, run))
    to_zero, count = bool(sigmas[-1] == 0), len(sigmas)
    past: list[Tensor] = []
    guess, tau, noise = x, 0.0, torch.zeros_like(x)

    def integral(step: int, order: int, start: int, end: int) -> Tensor:
        """The part of a step that the last `order` predictions make."""
        nodes = times[step - order + 1 : step + 1]
        if simple_order_2 and order == 2:
            weights = _simple_weights(nodes, times[end], times[start], tau, end == step)
        else:
            weights = adams_weights(nodes, times[end], times[start], tau)
        scaled = (weights * run.process.alpha(sigmas[end])).to(sigmas)
        return torch.stack([w * value for w, value in zip(scaled, past[-order:], strict=True)]).sum(dim=0)

    for step, (sigma, sigma_next) in intervals(sigmas):
        denoised = yield guess, sigma, step
        past = [*past, denoised][-max(predictor_order, corrector_order) :]
        corrector = 0 if step == 0 or (sigma_next == 0 and not use_pece) else corrector_order
        predictor = min(predictor_order, len(past))
        corrector = min(corrector, len(past))
        if to_zero:
            predictor = min(predictor, count - 2 - step)
            corrector = min(corrector, count - 1 - step)
        if corrector == 0:
            x = guess
        else:
            h = times[step] - times[step - 1]
            x = sigma / sigmas[step - 1] * (-(tau**2) * h).exp() * x
            x = x + integral(step, corrector, step - 1, step) + noise
            if use_pece:
                denoised = yield x, sigma, step
                past[-1] = denoised
        if sigma_next == 0:
            x = denoised
            continue
        tau = eta if high >= sigma_next >= low else 0.0
        h = times[step + 1] - times[step]
        noise = torch.zeros_like(x)
        if tau > 0 and s_noise > 0:
            spread = (-2 * tau**2 * h).expm1().neg().sqrt()
            noise = draw(sigma, sigma_next) * sigma_next * spread * s_noise
        decay = (-(tau**2) * h).exp()
        guess = sigma_next / sigma * decay * x + integral(step, predictor, step, step + 1) + noise
    return x if to_zero else guess


def sa_solver_pece(x: Tensor, sigmas: Tensor, run: SamplerRun) -> Steps:
    """`sa_solver` that evaluates the corrected x again."""
    return sa_solver(x, sigmas, run, use_pece=True)
