"""Pictures from a checkpoint with the sampler its figures are measured with: DPM++ 2M, Karras sigmas, CFG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from diffusers import DPMSolverMultistepScheduler
from PIL import Image
from torch import Tensor

from tools.embedded.export import Parts
from tools.embedded.models import LATENT_CHANNELS, NOISE_SCHEDULE
from tools.embedded.tokenizer import hidden_states


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """Settings; `compute` is the dtype of autocast (fp32: none) and `side` the pixels of a picture's edge."""

    steps: int = 20
    guidance: float = 5.0
    side: int = 128
    batch: int = 8
    compute: torch.dtype = torch.bfloat16


def sample(
    parts: Parts,
    prompts: Sequence[str],
    seeds: Sequence[int],
    *,
    negatives: Sequence[str] | None = None,
    settings: Sampling | None = None,
) -> list[Image.Image]:
    """One picture for each prompt and seed. The same seed gives the same noise whatever the batch."""
    settings = settings or Sampling()
    negatives = negatives or [""] * len(prompts)
    made: list[Image.Image] = []
    for start in range(0, len(prompts), settings.batch):
        rows = slice(start, start + settings.batch)
        made += _batch(parts, prompts[rows], seeds[rows], negatives[rows], settings)
    return made


def _batch(
    parts: Parts, prompts: Sequence[str], seeds: Sequence[int], negatives: Sequence[str], settings: Sampling
) -> list[Image.Image]:
    scheduler = new_scheduler(settings.steps)
    edge = settings.side // 8
    shape = (LATENT_CHANNELS, edge, edge)
    latents = torch.stack(
        [torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
    )
    latents = latents * scheduler.init_noise_sigma
    plain = settings.compute == torch.float32
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=not plain):
        text = encoded(parts, [*negatives, *prompts])
        for time in scheduler.timesteps:
            doubled = scheduler.scale_model_input(torch.cat([latents, latents]), time)
            without, with_text = parts.unet(doubled, time, text).sample.float().chunk(2)
            noise = without + settings.guidance * (with_text - without)
            latents = scheduler.step(noise, time, latents).prev_sample
        pictures = parts.vae.decode(latents / parts.vae.config["scaling_factor"]).sample.float()
    return [as_image(picture) for picture in pictures]


def new_scheduler(steps: int) -> DPMSolverMultistepScheduler:
    """DPM++ 2M over `steps` Karras sigmas of the checkpoint's noise schedule."""
    scheduler = DPMSolverMultistepScheduler(
        beta_start=NOISE_SCHEDULE["beta_start"],
        beta_end=NOISE_SCHEDULE["beta_end"],
        beta_schedule="scaled_linear",
        use_karras_sigmas=True,
        algorithm_type="dpmsolver++",
        solver_order=2,
    )
    scheduler.set_timesteps(steps)
    return scheduler


def encoded(parts: Parts, texts: Sequence[str]) -> Tensor:
    """Hidden states (count, 77, width) of the texts."""
    return hidden_states(parts.text_encoder, parts.tokenizer(), texts)


def as_image(picture: Tensor) -> Image.Image:
    """A picture (3, height, width) in -1..1 as Pillow's."""
    array = ((picture.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return Image.fromarray(np.ascontiguousarray(array.permute(1, 2, 0).numpy()))


def contact_sheet(pictures: Sequence[Image.Image], *, columns: int = 10, gap: int = 2) -> Image.Image:
    """The pictures in rows."""
    width, height = pictures[0].size
    rows = -(-len(pictures) // columns)
    sheet = Image.new("RGB", (columns * (width + gap), rows * (height + gap)), "white")
    for number, picture in enumerate(pictures):
        sheet.paste(picture, (number % columns * (width + gap), number // columns * (height + gap)))
    return sheet
