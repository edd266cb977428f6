"""A sampler whose latent grows while it runs."""

from __future__ import annotations

import torch
from torch import Tensor

from nodes.diffusion.resizing import resize
from nodes.diffusion.samplers.protocol import SamplerRun, Steps, intervals


def lcm_upscale(
    x: Tensor,
    sigmas: Tensor,
    run: SamplerRun,
    total_upscale: float = 1.0,
    upscale_steps: int = -1,
    upscale_method: str = "bislerp",
) -> Steps:
    """Multistep consistency sampling (Song et al. 2023) whose prediction is enlarged before fresh noise is added.

    Over the first `upscale_steps` steps (negative: about half of them) the sides grow evenly to `total_upscale` times
    what they were.
    """
    count = max(len(sigmas) // 2 + 1, 2) if upscale_steps < 0 else min(upscale_steps, len(sigmas)) + 1
    factors = torch.linspace(1, total_upscale, count)[1:].tolist()
    height, width = x.shape[-2:]
    draw = run.noise.of_any_size()
    for step, (_, sigma_next) in intervals(sigmas):
        x = yield x, sigmas[step], step
        if step < len(factors):
            size = (max(1, round(width * factors[step])), max(1, round(height * factors[step])))
            x = resize(x, *size, upscale_method)
        if sigma_next > 0:
            x = run.process.alpha(sigma_next) * x + sigma_next * draw(x)
    return x
