"""Stages "vae" and "decoder": the autoencoder learns pictures; later its decoder alone sharpens fixed latents."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import torch
from diffusers import AutoencoderKL
from PIL import Image
from torch import Tensor

from tools.embedded.drawing import SIDE, picture_of
from tools.embedded.losses import divergence, picture_loss
from tools.embedded.world import scene_of

_DIVERGENCE_WEIGHT = 1e-5
_HELD_OUT_FIRST = 50_000_000


class VaeStage:
    """Autoencoding of crops that grow to whole pictures.

    `growth` lists (share of steps, crop side, batch). With `decoder_only` the encoder is frozen.
    """

    weight_decay = 0.0

    def __init__(
        self,
        vae: AutoencoderKL,
        *,
        steps: int,
        growth: Sequence[tuple[float, int, int]],
        seed: int,
        decoder_only: bool = False,
        peak_rate: float = 1.5e-3,
        phase: str = "two",
    ) -> None:
        self.name = "decoder" if decoder_only else "vae"
        self.model, self.steps, self.growth, self.seed, self.phase = vae, steps, growth, seed, phase
        self.decoder_only, self.peak_rate = decoder_only, peak_rate
        if decoder_only:
            vae.encoder.requires_grad_(False)
            vae.quant_conv.requires_grad_(False)

    def loss(self, step: int) -> Tensor:
        crop, batch = self._crop(step)
        pictures = crops(seed=self.seed + step, crop=crop, batch=batch, phase=self.phase)
        generator = torch.Generator().manual_seed(self.seed + step)
        device = next(self.model.parameters()).device
        pictures = pictures.to(device)
        with torch.autocast(device.type, dtype=torch.bfloat16):
            with torch.set_grad_enabled(not self.decoder_only):
                posterior = self.model.encode(pictures).latent_dist
            noise = torch.randn(posterior.mean.shape, generator=generator).to(device)
            latents = posterior.mean + noise * posterior.std
            made = self.model.decode(latents).sample
        loss = picture_loss(made, pictures)
        if self.decoder_only:
            return loss
        return loss + _DIVERGENCE_WEIGHT * divergence(posterior.mean.float(), posterior.logvar.float())

    def measure(self) -> dict[str, float]:
        """Peak signal-to-noise ratio in dB over unseen whole pictures, and the latents' standard deviation."""
        pictures = whole_pictures(range(_HELD_OUT_FIRST, _HELD_OUT_FIRST + 24), self.phase)
        device = next(self.model.parameters()).device
        with torch.no_grad(), torch.autocast(device.type, dtype=torch.bfloat16):
            mean = self.model.encode(pictures.to(device)).latent_dist.mean
            made = self.model.decode(mean).sample.float().cpu().clamp(-1, 1)
        error = ((made - pictures) / 2).square().mean(dim=(1, 2, 3))
        return {"psnr": float((-10 * error.log10()).mean()), "latent_std": float(mean.float().std())}

    def _crop(self, step: int) -> tuple[int, int]:
        done = 0.0
        for share, crop, batch in self.growth:
            done += share
            if step < done * self.steps:
                return crop, batch
        return self.growth[-1][1], self.growth[-1][2]


def whole_pictures(seeds: Sequence[int], phase: str) -> Tensor:
    """Pictures of these scenes as (count, 3, 128, 128) in -1..1."""
    return as_pixels([picture_of(scene_of(seed, phase)) for seed in seeds])


def as_pixels(pictures: Sequence[Image.Image]) -> Tensor:
    """Pictures of one size as (count, 3, height, width) in -1..1."""
    arrays = np.stack([np.asarray(picture) for picture in pictures])
    return torch.from_numpy(arrays).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)


def crops(*, seed: int, crop: int, batch: int, phase: str) -> Tensor:
    """`batch` crops, two from one picture where they are small: (batch, 3, crop, crop) in -1..1."""
    each = 2 if crop < SIDE // 2 else 1
    pictures = whole_pictures(range(seed * 64, seed * 64 + batch // each), phase)
    if crop == SIDE:
        return pictures
    rng = random.Random(seed)
    cut = []
    for picture in pictures:
        for _ in range(each):
            y, x = rng.randrange(SIDE - crop + 1), rng.randrange(SIDE - crop + 1)
            cut.append(picture[:, y : y + crop, x : x + crop])
    return torch.stack(cut)
