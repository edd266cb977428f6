"""UniPC: a predictor-corrector whose corrector costs no evaluation (Zhao et al. 2023, arXiv 2302.04867)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from nodes.diffusion.samplers.protocol import SamplerRun, Steps, intervals

Variant = Literal["bh1", "bh2"]
"""B(h) = h, or B(h) = e^h - 1 (section 3.3)."""

SMALLEST_SIGMA = 0.001
"""Where the last step ends if it is to end at 0, whose log SNR is infinite."""

Point = tuple[Tensor, Tensor]
"""A sigma and the denoised prediction there."""


def _weights(ratios: list[Tensor], h: Tensor, scale: Tensor) -> list[Tensor]:
    """Weights of the differences: R(r) a = phi(h) / B(h) (eq. 6 and 7); one alone has 1/2."""
    if len(ratios) == 1:
        return [torch.full_like(h, 0.5)]
    rows, right = [], []
    phi = (-h).expm1() / -h - 1
    factorial = 1
    for power in range(len(ratios)):
        rows.append(torch.stack(ratios) ** power)
        right.append(phi * factorial / scale)
        factorial *= power + 2
        phi = phi / -h - 1 / factorial
    return list(torch.linalg.solve(torch.stack(rows), torch.stack(right)))


def _advance(
    x: Tensor, sigma_next: Tensor, points: list[Point], variant: Variant, arrived: Tensor | None = None
) -> Tensor:
    """From the newest of `points` to sigma_next; with the prediction made there, the corrected step."""
    sigma, newest = points[-1]
    h = sigma.log() - sigma_next.log()
    scale = -h if variant == "bh1" else (-h).expm1()
    ratios = [(sigma.log() - older.log()) / h for older, _ in points[-2::-1]]
    changes = [(value - newest) / r for (_, value), r in zip(points[-2::-1], ratios, strict=True)]
    if arrived is not None:
        ratios.append(torch.ones_like(h))
        changes.append(arrived - newest)
    x = (sigma_next / sigma) * x - (-h).expm1() * newest
    if not ratios:
        return x
    weighed = zip(_weights(ratios, h, scale), changes, strict=True)
    return x - scale * sum(weight * change for weight, change in weighed)


def uni_pc(
    x: Tensor, sigmas: Tensor, run: SamplerRun, *, variant: Variant = "bh1", max_order: int = 3
) -> Steps:
    """UniPC for data prediction; its order rises to 3 at the beginning and falls to 1 at the end."""
    to_zero = bool(sigmas[-1] < SMALLEST_SIGMA)
    if to_zero:
        sigmas = torch.cat([sigmas[:-1], torch.full_like(sigmas[-1:], SMALLEST_SIGMA)])
    steps = len(sigmas) - 1
    order = max(1, min(max_order, steps - 1))
    past: list[Point] = []
    used: list[Point] = []
    before = x
    for step, (sigma, sigma_next) in intervals(sigmas):
        denoised = yield x, sigma, step
        if used:
            x = _advance(before, sigma, used, variant, arrived=denoised)
        past = [*past, (sigma, denoised)][-order:]
        used = past[-(steps - step) :]
        before = x
        x = _advance(before, sigma_next, used, variant)
    return x / run.process.alpha(sigmas[-1]) if to_zero else x


def uni_pc_bh2(x: Tensor, sigmas: Tensor, run: SamplerRun, *, max_order: int = 3) -> Steps:
    """`uni_pc` with B(h) = e^h - 1."""
    return uni_pc(x, sigmas, run, variant="bh2", max_order=max_order)
