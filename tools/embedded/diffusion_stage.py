"""Stage "diffusion": UNet and text encoder learn together to predict the noise in latents from their captions."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn
from torch.nn import functional
from transformers import CLIPTextModel, CLIPTokenizer

from tools.embedded.captions import caption_besides
from tools.embedded.drawing import SIDE
from tools.embedded.latents import LatentSet
from tools.embedded.models import LayoutHead
from tools.embedded.noising import Noising
from tools.embedded.probes import Probe, swapped_word_rise
from tools.embedded.text_stage import Answers, SceneReader
from tools.embedded.tokenizer import token_ids
from tools.embedded.world import Scene, scene_of

_DROPPED_CAPTIONS = 0.1
_LAYOUT_WEIGHT = 0.3
_READING_WEIGHT = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """Up to step `until`, batches of `batch` latents drawn from the phases in these shares.

    `sides` gives the share of batches of each side in pixels; larger pictures make smaller batches.
    """

    until: int
    batch: int
    shares: Mapping[str, float]
    sides: Mapping[int, float] = field(default_factory=lambda: {SIDE: 1.0})


@dataclass(frozen=True, slots=True, kw_only=True)
class Emphasis:
    """What training dwells on.

    Strong noise: the share of timesteps drawn from 800 on, and the cap of their weight. Forms: how much more the
    error counts where things are.
    """

    high_noise_share: float = 0.4
    cap: float = 60.0
    forms: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Scaled latents (count, 4, side, side), forms (count, side, side), captions and scenes."""

    latents: Tensor
    forms: Tensor
    texts: Sequence[str]
    scenes: Sequence[Scene]


class Pair(nn.Module):
    """What is trained together; the two heads that keep the text encoder attentive are not exported."""

    def __init__(self, unet: UNet2DConditionModel, text_encoder: CLIPTextModel) -> None:
        super().__init__()
        self.unet, self.text_encoder = unet, text_encoder
        self.layout = LayoutHead(text_encoder.config.hidden_size)
        self.reader = SceneReader(text_encoder.config.hidden_size)


class DiffusionStage:
    """Noise prediction over latent sets with a curriculum of lessons. With `unet_only` the text encoder stays."""

    name = "diffusion"

    def __init__(
        self,
        pair: Pair,
        tokenizer: CLIPTokenizer,
        read: Callable[[str, int], LatentSet],
        lessons: Sequence[Lesson],
        *,
        scale: float,
        seed: int,
        avoid: frozenset[str] = frozenset(),
        probes: Sequence[Probe] = (),
        emphasis: Emphasis = Emphasis(),
        peak_rate: float = 8e-4,
        weight_decay: float = 0.01,
        unet_only: bool = False,
    ) -> None:
        if unet_only:
            pair.requires_grad_(False).unet.requires_grad_(True)
        self.model, self.tokenizer, self.lessons, self.probes = pair, tokenizer, lessons, probes
        self.unet_only, self.read = unet_only, cache(read)
        self.scale, self.seed, self.avoid = scale, seed, avoid
        self.peak_rate, self.weight_decay = peak_rate, weight_decay
        self.emphasis = emphasis
        self.noising = Noising(high_noise_share=emphasis.high_noise_share, cap=emphasis.cap)

    def loss(self, step: int) -> Tensor:
        lesson = next((one for one in self.lessons if step < one.until), self.lessons[-1])
        rng = random.Random(f"{self.seed}:{step}")
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + step)
        device = next(self.model.parameters()).device
        batch = self._batch(lesson, rng)
        noised = self.noising.noised(batch.latents, generator).to(device)
        tokens = token_ids(self.tokenizer, batch.texts).to(device)
        with torch.autocast(device.type, dtype=torch.bfloat16):
            text = self.model.text_encoder(tokens)
            predicted = self.model.unet(
                noised.noisy, noised.times, text.last_hidden_state, return_dict=False
            )[0]
        places = 1 + self.emphasis.forms * batch.forms[:, None].to(device)
        loss = noised.loss(predicted, places)
        return loss if self.unet_only else loss + self._text_loss(text.pooler_output.float(), batch)

    def measure(self) -> dict[str, float]:
        """Rise of the noise error, in percent, when one word of the caption is wrong."""
        return {probe.name: swapped_word_rise(self, probe) for probe in self.probes}

    def error(self, latents: Tensor, texts: Sequence[str], *, time: int, seed: int) -> Tensor:
        """Mean square error of the predicted noise at one timestep, a value for each sample."""
        device = next(self.model.parameters()).device
        noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(seed))
        noisy = self.noising.mixed(latents, noise, torch.tensor([time])).to(device)
        with torch.no_grad(), torch.autocast(device.type, dtype=torch.bfloat16):
            text = self.model.text_encoder(token_ids(self.tokenizer, texts).to(device)).last_hidden_state
            predicted = self.model.unet(noisy, time, text, return_dict=False)[0]
        error: Tensor = (predicted.float().cpu() - noise).square().mean(dim=(1, 2, 3))
        return error

    def _text_loss(self, pooled: Tensor, batch: Batch) -> Tensor:
        """What the end-of-text vector should tell: the rough layout and the scene; empty captions tell nothing."""
        told = torch.tensor([bool(text) for text in batch.texts], device=pooled.device)
        wanted = functional.adaptive_avg_pool2d(batch.latents.to(pooled.device)[told], 4)
        layout = (self.model.layout(pooled[told]) - wanted).square().mean()
        answers = Answers.of([scene for scene, text in zip(batch.scenes, batch.texts, strict=True) if text])
        loss: Tensor = _LAYOUT_WEIGHT * layout + _READING_WEIGHT * self.model.reader.loss(
            pooled[told], answers
        )
        return loss

    def _batch(self, lesson: Lesson, rng: random.Random) -> Batch:
        sides = list(lesson.sides)
        side = sides[0] if len(sides) == 1 else rng.choices(sides, list(lesson.sides.values()))[0]
        count = max(1, lesson.batch * SIDE**2 // side**2)
        latents, forms, texts, scenes = [], [], [], []
        for phase in rng.choices(list(lesson.shares), list(lesson.shares.values()), k=count):
            pool = self.read(phase, side)
            index = rng.randrange(len(pool))
            latents.append(pool.latents[index])
            forms.append(pool.forms[index])
            scenes.append(scene_of(pool.seeds[index], phase))
            dropped = rng.random() < _DROPPED_CAPTIONS
            texts.append("" if dropped else caption_besides(self.avoid, scenes[-1], rng))
        stacked = torch.stack(latents).float() * self.scale
        return Batch(latents=stacked, forms=torch.stack(forms).float(), texts=texts, scenes=scenes)
