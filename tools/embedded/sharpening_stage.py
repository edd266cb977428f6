"""Stage "sharpening": the decoder alone learns, from encoded pictures, the forms of things that it blurs."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

import torch
from diffusers import AutoencoderKL
from torch import Tensor

from tools.embedded.drawing import SIDE, drawn_at
from tools.embedded.latents import LatentSet
from tools.embedded.losses import picture_loss
from tools.embedded.vae_stage import as_pixels
from tools.embedded.world import scene_of

_REDUCTION = 8
_LONE_CROPS = 0.1
_UNSEEN = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Sharpening:
    """Crops of `crop` by `crop` latents, `batch` at once, nine of ten around a thing; noise up to `noise` is added.

    A share `whole` of the steps decodes whole pictures instead, whose sides in pixels are drawn by `sides`.
    """

    shares: Mapping[str, float]
    sides: Mapping[int, float]
    crop: int = 8
    batch: int = 12
    whole: float = 0.25
    noise: float = 0.15


class SharpeningStage:
    """Decoding of latents kept from encoding; the encoder, and so all latents, stay as they are."""

    name = "sharpening"
    weight_decay = 0.0

    def __init__(
        self,
        vae: AutoencoderKL,
        read: Callable[[str, int], LatentSet],
        plan: Sharpening,
        *,
        seed: int,
        peak_rate: float,
    ) -> None:
        self.model = vae.requires_grad_(False)
        vae.decoder.requires_grad_(True)
        vae.post_quant_conv.requires_grad_(True)
        self.read, self.plan, self.seed, self.peak_rate = cache(read), plan, seed, peak_rate

    def loss(self, step: int) -> Tensor:
        rng = random.Random(f"sharpening:{self.seed}:{step}")
        plan = self.plan
        if rng.random() < plan.whole:
            side = rng.choices(list(plan.sides), list(plan.sides.values()))[0]
            count = max(1, plan.batch * plan.crop**2 * _REDUCTION**2 // side**2)
            return self._whole_loss(rng, side, count)
        edge = _REDUCTION
        pairs = [self._crop(rng) for _ in range(plan.batch)]
        latents, pictures = (torch.stack(part) for part in zip(*pairs, strict=True))
        made = self._decoded(latents, rng)
        inner = slice(edge, -edge)
        return picture_loss(made[..., inner, inner], pictures.to(made.device)[..., inner, inner])

    def measure(self) -> dict[str, float]:
        """Peak signal-to-noise ratio in dB over whole pictures, and where things are."""
        pool = self.read("probe-two", SIDE)
        latents = pool.latents[:_UNSEEN].float()
        device = next(self.model.parameters()).device
        wanted = self._pictures("two", pool.seeds[:_UNSEEN], SIDE)
        with torch.no_grad(), torch.autocast(device.type, dtype=torch.bfloat16):
            made = self.model.decode(latents.to(device)).sample.float().cpu().clamp(-1, 1)
        error = ((made - wanted) / 2).square().mean(dim=1)
        there = pool.forms[:_UNSEEN].repeat_interleave(_REDUCTION, 1).repeat_interleave(_REDUCTION, 2).bool()
        return {
            "psnr": float((-10 * error.mean(dim=(1, 2)).log10()).mean()),
            "psnr_of_things": float(-10 * error[there].mean().log10()),
        }

    def _whole_loss(self, rng: random.Random, side: int, count: int) -> Tensor:
        drawn = [self._draw(rng, side) for _ in range(count)]
        latents = torch.stack([pool.latents[k].float() for _, pool, k in drawn])
        wanted = torch.cat([self._pictures(phase, (pool.seeds[k],), side) for phase, pool, k in drawn])
        made = self._decoded(latents, rng)
        return picture_loss(made, wanted.to(made.device))

    def _crop(self, rng: random.Random) -> tuple[Tensor, Tensor]:
        phase, pool, index = self._draw(rng, SIDE)
        size = self.plan.crop
        last = pool.latents.shape[-1] - size
        spots = pool.forms[index].nonzero()
        if len(spots) and rng.random() >= _LONE_CROPS:
            row, column = (int(v) for v in spots[rng.randrange(len(spots))])
            shift = size // 2
            top = min(max(row - shift + rng.randint(-2, 2), 0), last)
            left = min(max(column - shift + rng.randint(-2, 2), 0), last)
        else:
            top, left = rng.randint(0, last), rng.randint(0, last)
        latents = pool.latents[index, :, top : top + size, left : left + size].float()
        y, x, width = top * _REDUCTION, left * _REDUCTION, size * _REDUCTION
        picture = self._pictures(phase, (pool.seeds[index],), SIDE)[0]
        return latents, picture[:, y : y + width, x : x + width]

    def _decoded(self, latents: Tensor, rng: random.Random) -> Tensor:
        generator = torch.Generator().manual_seed(rng.getrandbits(31))
        noise = torch.randn(latents.shape, generator=generator)
        amount = torch.rand((len(latents), 1, 1, 1), generator=generator) * self.plan.noise
        device = next(self.model.parameters()).device
        with torch.autocast(device.type, dtype=torch.bfloat16):
            made: Tensor = self.model.decode((latents + amount * noise).to(device)).sample
        return made

    def _draw(self, rng: random.Random, side: int) -> tuple[str, LatentSet, int]:
        phase = rng.choices(list(self.plan.shares), list(self.plan.shares.values()))[0]
        pool = self.read(phase, side)
        return phase, pool, rng.randrange(len(pool))

    def _pictures(self, phase: str, seeds: tuple[int, ...], side: int) -> Tensor:
        return as_pixels([drawn_at(scene_of(seed, phase), side).picture for seed in seeds])
