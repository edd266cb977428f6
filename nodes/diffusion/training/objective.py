"""What training asks of a network: to tell noise (or v, x0, flow) from a noisy latent, at a level drawn at random.

Diffusion models draw timesteps evenly (Ho et al. 2020); rectified flows draw them from a logit-normal distribution
(Esser et al. 2024, section 3.1), moved towards noise by the model's shift.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from graphcore.errors import InputError
from nodes.diffusion.parameterization import (
    ContinuousEdm,
    DiscreteDiffusion,
    Parameterization,
    RectifiedFlow,
)

LossFunction = Callable[[Tensor, Tensor], Tensor]
LOSSES: Final[dict[str, LossFunction]] = {
    "MSE": functional.mse_loss,
    "L1": functional.l1_loss,
    "Huber": functional.huber_loss,
    "SmoothL1": functional.smooth_l1_loss,
}


@dataclass(frozen=True, slots=True, eq=False)
class NoisyBatch:
    """What a network sees (`x`, already scaled for it, and `timestep`), and what it should say of it."""

    x: Tensor
    timestep: Tensor
    target: Tensor


def noisy_batch(parameterization: Parameterization, latents: Tensor, stream: torch.Generator) -> NoisyBatch:
    """Scaled latents (rows, channels, height, width) with noise at random levels, float32, drawn on the CPU."""
    rows = len(latents)
    noise = torch.randn(latents.shape, generator=stream)
    sigma = _levels(parameterization, rows, stream)
    level = sigma.view(-1, 1, 1, 1)
    x = parameterization.add_noise(latents, noise, level)
    return NoisyBatch(
        parameterization.scale_input(x, level),
        parameterization.timestep(sigma),
        _target(parameterization, latents, noise, level),
    )


def _levels(parameterization: Parameterization, rows: int, stream: torch.Generator) -> Tensor:
    if isinstance(parameterization, RectifiedFlow):
        time = torch.randn(rows, generator=stream).sigmoid()
        return parameterization.sigma(time * parameterization.multiplier)
    table = parameterization.sigmas
    return table[torch.randint(len(table), (rows,), generator=stream)]


def _target(parameterization: Parameterization, latents: Tensor, noise: Tensor, level: Tensor) -> Tensor:
    if isinstance(parameterization, RectifiedFlow):
        return noise - latents
    if not isinstance(parameterization, (DiscreteDiffusion, ContinuousEdm)):
        raise InputError(
            f"A model that is sampled as {type(parameterization).__name__} cannot be trained; use the model that it "
            "was made from.",
            code="unsupported-choice",
        )
    if parameterization.prediction == "epsilon":
        return noise
    if parameterization.prediction == "v_prediction":
        return (noise - level * latents) / (1 + level**2).sqrt()
    return latents
