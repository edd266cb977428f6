"""First-order samplers: Euler and its stochastic relatives."""

from __future__ import annotations

from torch import Tensor

from nodes.diffusion.noise import StepNoise
from nodes.diffusion.samplers.protocol import (
    SamplerRun,
    Steps,
    ancestral_step,
    flow_ancestral_step,
    intervals,
)


def churned(x: Tensor, sigma: Tensor, gamma: float, s_noise: float, draw: StepNoise) -> tuple[Tensor, Tensor]:
    """x moved up to sigma * (1 + gamma) by fresh noise (Karras et al. 2022, algorithm 2, lines 5-6)."""
    if gamma <= 0:
        return x, sigma
    raised = sigma * (1 + gamma)
    return x + draw(sigma, raised) * s_noise * (raised**2 - sigma**2) ** 0.5, raised


def churn_rate(sigma: Tensor, steps: int, s_churn: float, s_tmin: float, s_tmax: float) -> float:
    """gamma of Karras et al. 2022, algorithm 2, line 4."""
    return min(s_churn / steps, 2**0.5 - 1) if s_tmin <= float(sigma) <= s_tmax else 0.0


def euler(
    x: Tensor,
    sigmas: Tensor,
    run: SamplerRun,
    *,
    s_churn: float = 0.0,
    s_tmin: float = 0.0,
    s_tmax: float = float("inf"),
    s_noise: float = 1.0,
) -> Steps:
    """Euler steps along the probability flow ODE (Karras et al. 2022, algorithm 2 without its correction).

    With s_churn 0 this is DDIM with eta 0 (Song et al. 2020, eq. 12), and plain Euler for rectified flow.
    """
    draw = run.noise.gaussian()
    for step, (sigma, sigma_next) in intervals(sigmas):
        gamma = churn_rate(sigma, len(sigmas) - 1, s_churn, s_tmin, s_tmax)
        x, sigma = churned(x, sigma, gamma, s_noise, draw)
        denoised = yield x, sigma, step
        x = x + (x - denoised) / sigma * (sigma_next - sigma)
    return x


def euler_ancestral(
    x: Tensor, sigmas: Tensor, run: SamplerRun, *, eta: float = 1.0, s_noise: float = 1.0
) -> Steps:
    """Euler steps that go too far down and come back with fresh noise (k-diffusion).

    With eta 1 the marginals are those of DDPM. Rectified flows keep their own ratio of signal to noise.
    """
    draw = run.noise.gaussian()
    for step, (sigma, sigma_next) in intervals(sigmas):
        denoised = yield x, sigma, step
        if sigma_next == 0:
            x = denoised
        elif run.process.flow:
            back = flow_ancestral_step(sigma, sigma_next, eta)
            ratio = back.sigma_down / sigma
            x = ratio * x + (1 - ratio) * denoised
            if eta > 0:
                x = back.keep * x + draw(sigma, sigma_next) * s_noise * back.add
        else:
            down, up = ancestral_step(sigma, sigma_next, eta)
            x = x + (x - denoised) / sigma * (down - sigma) + draw(sigma, sigma_next) * s_noise * up
    return x


def ddpm(x: Tensor, sigmas: Tensor, run: SamplerRun) -> Steps:
    """The posterior q(x_prev | x, x0) (Ho et al. 2020, eq. 6-7), written for x = x0 + sigma * noise."""
    draw = run.noise.gaussian()
    for step, (sigma, sigma_next) in intervals(sigmas):
        denoised = yield x, sigma, step
        ratio = (sigma_next / sigma) ** 2
        x = ratio * x + (1 - ratio) * denoised
        if sigma_next > 0:
            x = x + sigma_next * (1 - ratio) ** 0.5 * draw(sigma, sigma_next)
    return x


def lcm(x: Tensor, sigmas: Tensor, run: SamplerRun) -> Steps:
    """Multistep consistency sampling: denoise at once, add fresh noise (Song et al. 2023, algorithm 1)."""
    draw = run.noise.gaussian()
    for step, (sigma, sigma_next) in intervals(sigmas):
        denoised = yield x, sigma, step
        x = denoised
        if sigma_next > 0:
            x = run.process.alpha(sigma_next) * denoised + sigma_next * draw(sigma, sigma_next)
    return x
