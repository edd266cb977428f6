"""Linear multistep samplers: slopes of earlier steps are extrapolated, one evaluation a step."""

from __future__ import annotations

import math

import torch
from numpy.polynomial import Polynomial
from torch import Tensor

from nodes.diffusion.samplers.protocol import SamplerRun, Steps, intervals


def _lagrange(points: list[float], index: int) -> Polynomial:
    """The polynomial that is 1 at one of the points and 0 at the others."""
    basis = Polynomial([1.0])
    for other, point in enumerate(points):
        if other != index:
            basis = basis * Polynomial([-point, 1.0]) / (points[index] - point)
    return basis


def _adams_bashforth(points: list[float], end: float) -> list[float]:
    """Weights of the slopes at `points` (newest first) for a step from points[0] to `end`."""
    start = points[0]
    shifted = [point - start for point in points]
    weights = []
    for index in range(len(points)):
        integral = _lagrange(shifted, index).integ()
        weights.append(float(integral(end - start) - integral(0.0)))
    return weights


def lms(x: Tensor, sigmas: Tensor, run: SamplerRun, *, order: int = 4) -> Steps:
    """Adams-Bashforth on the given sigmas (k-diffusion); the last step goes to the denoised prediction."""
    slopes: list[Tensor] = []
    values = [float(sigma) for sigma in sigmas]
    for step, (sigma, sigma_next) in intervals(sigmas):
        denoised = yield x, sigma, step
        slopes = [(x - denoised) / sigma, *slopes[: order - 1]]
        if sigma_next == 0:
            x = denoised
        else:
            points = [values[step - back] for back in range(len(slopes))]
            weights = _adams_bashforth(points, values[step + 1])
            x = x + sum(weight * slope for weight, slope in zip(weights, slopes, strict=True))
    return x


_UNIFORM = (
    (1.0,),
    (3 / 2, -1 / 2),
    (23 / 12, -16 / 12, 5 / 12),
    (55 / 24, -59 / 24, 37 / 24, -9 / 24),
)


def ipndm(x: Tensor, sigmas: Tensor, run: SamplerRun, *, max_order: int = 4) -> Steps:
    """Adams-Bashforth with the weights of equal steps, whatever the steps (Zhang & Chen 2022, "iPNDM")."""
    slopes: list[Tensor] = []
    for step, (sigma, sigma_next) in intervals(sigmas):
        denoised = yield x, sigma, step
        slopes = [(x - denoised) / sigma, *slopes[: max_order - 1]]
        if sigma_next == 0:
            x = denoised
        else:
            weighed = zip(_UNIFORM[len(slopes) - 1], slopes, strict=True)
            x = x + (sigma_next - sigma) * sum(weight * slope for weight, slope in weighed)
    return x


def _variable_weights(sigmas: list[float], step: int, order: int) -> list[float]:
    """Weights of the slopes for unequal steps, newest first, by divided differences, as iPNDM-v has them.

    Orders 3 and 4 are not quite Adams-Bashforth (for equal steps the oldest of four weighs 11/24 in place of
    9/24): these are the weights of the authors' program, which all pictures made with "ipndm_v" have.
    """
    if order == 1:
        return [1.0]
    h = sigmas[step + 1] - sigmas[step]
    a, b, c = (sigmas[max(step - k, 0)] - sigmas[max(step - k - 1, 0)] for k in range(3))
    weights = [1 + h / (2 * a), -h / (2 * a), 0.0, 0.0]
    if order >= 3:
        second = (1 - h**2 / (3 * a * (a + b))) / 2
        shares = [1.0, -1 - a / b, a / b, 0.0]
        weights = [weight + second * share for weight, share in zip(weights, shares, strict=True)]
    if order == 4:
        k = a * (a + b) / (b * (b + c))
        third = (1 - h / (3 * (h + a))) / 2 + (1 - h / (2 * (h + a))) * h / (6 * (h + a + b))
        third *= h * (h + a) * (h + a + b) / (a * (a + b) * (a + b + c))
        shares = [1.0, -1 - a / b - k, a / b + k * (1 + b / c), -k * a / b]
        weights = [weight + third * share for weight, share in zip(weights, shares, strict=True)]
    return weights[:order]


def ipndm_v(x: Tensor, sigmas: Tensor, run: SamplerRun, *, max_order: int = 4) -> Steps:
    """`ipndm` with weights for the steps as they are (Zhou et al. 2024, "AMED", diff-sampler)."""
    slopes: list[Tensor] = []
    values = [float(sigma) for sigma in sigmas]
    for step, (sigma, sigma_next) in intervals(sigmas):
        denoised = yield x, sigma, step
        slopes = [(x - denoised) / sigma, *slopes[: max_order - 1]]
        if sigma_next == 0:
            x = denoised
        else:
            weighed = zip(_variable_weights(values, step, len(slopes)), slopes, strict=True)
            x = x + (sigma_next - sigma) * sum(weight * slope for weight, slope in weighed)
    return x


_DEIS_POINTS = 10000
_BETA_D = 2 * (math.log(0.002**2 + 1) / 1e-3 - math.log(80.0**2 + 1)) / (1e-3 - 1)
_BETA_MIN = math.log(80.0**2 + 1) - 0.5 * _BETA_D


def _vp_time(sigma: Tensor) -> Tensor:
    """The time of the variance-preserving process that has this sigma (Karras et al. 2022, table 1)."""
    return ((_BETA_MIN**2 + 2 * _BETA_D * (sigma**2 + 1).log()).sqrt() - _BETA_MIN) / _BETA_D


def _deis_weights(times: Tensor, step: int, order: int) -> list[float]:
    """Integrals of Lagrange polynomial times d sigma / d t over the step, as means over 10,000 points."""
    start, end = times[step], times[step + 1]
    t = torch.linspace(float(start), float(end), _DEIS_POINTS, dtype=times.dtype)
    growth = (0.5 * _BETA_D * t**2 + _BETA_MIN * t).exp()
    speed = 0.5 * (_BETA_D * t + _BETA_MIN) * growth / (growth - 1).sqrt()
    points = [times[step - back] for back in range(order)]
    weights = []
    for index, point in enumerate(points):
        others = [(t - other) / (point - other) for k, other in enumerate(points) if k != index]
        basis = torch.stack(others).prod(dim=0)
        weights.append(float((speed * basis).mean() * (end - start)))
    return weights


def deis(x: Tensor, sigmas: Tensor, run: SamplerRun, *, max_order: int = 3) -> Steps:
    """Slopes extrapolated in variance-preserving time (Zhang & Chen 2022, "tAB-DEIS", eq. 15)."""
    slopes: list[Tensor] = []
    times = _vp_time(sigmas.double())
    for step, (sigma, sigma_next) in intervals(sigmas):
        denoised = yield x, sigma, step
        slopes = [(x - denoised) / sigma, *slopes[: max_order - 1]]
        if sigma_next == 0:
            x = denoised
        elif len(slopes) == 1:
            x = x + (sigma_next - sigma) * slopes[0]
        else:
            weighed = zip(_deis_weights(times, step, len(slopes)), slopes, strict=True)
            x = x + sum(weight * slope for weight, slope in weighed)
    return x
