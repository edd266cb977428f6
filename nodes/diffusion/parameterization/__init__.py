"""Between samplers, which speak of sigmas, and networks, which speak of timesteps and epsilon, v or flow.

Samplers see one kind of model: denoised = D(x, sigma) with x = alpha * x0 + sigma * noise, where alpha is 1
for diffusion models (Karras et al. 2022, "EDM", variance exploding form) and 1 - sigma for rectified flow.
What a given network predicts, and on which timesteps it was trained, is settled here.
"""

from __future__ import annotations

from nodes.diffusion.parameterization.continuous import ContinuousCosine, ContinuousEdm
from nodes.diffusion.parameterization.discrete import (
    DiscreteDiffusion,
    LatentConsistency,
    evenly_rising_betas,
    linear_betas,
    zero_terminal_snr,
)
from nodes.diffusion.parameterization.flow import RectifiedFlow, shifted
from nodes.diffusion.parameterization.interface import (
    BEFORE_THE_BEGINNING,
    NoiseProcess,
    Parameterization,
    Prediction,
)

__all__ = [
    "BEFORE_THE_BEGINNING",
    "ContinuousCosine",
    "ContinuousEdm",
    "DiscreteDiffusion",
    "LatentConsistency",
    "NoiseProcess",
    "Parameterization",
    "Prediction",
    "RectifiedFlow",
    "evenly_rising_betas",
    "linear_betas",
    "shifted",
    "zero_terminal_snr",
]
