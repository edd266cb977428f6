"""Stage "diffusion": UNet and text encoder learn together to predict the noise in latents from their captions."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn
from torch.nn import functional
from transformers import CLIPTextModel, CLIPTokenizer

from tools.embedded.captions import caption
from tools.embedded.latents import LatentSet
from tools.embedded.losses import cumulative_alphas, noise_loss, timestep_weights
from tools.embedded.models import LayoutHead
from tools.embedded.probes import Probe, swapped_word_rise
from tools.embedded.text_stage import Answers, SceneReader
from tools.embedded.world import Scene, scene_of

_HIGH_NOISE_FIRST = 800
_DROPPED_CAPTIONS = 0.1
_LAYOUT_WEIGHT = 0.3
_READING_WEIGHT = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """Up to step `until`, batches of `batch` latents drawn from the phases in these shares."""

    until: int
    batch: int
    shares: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Emphasis:
    """How much training dwells on strong noise: share of timesteps drawn from 800 on, and cap of their weight."""

    high_noise_share: float = 0.4
    cap: float = 60.0


class Pair(nn.Module):
    """What is trained together; the two heads that keep the text encoder attentive are not exported."""

    def __init__(self, unet: UNet2DConditionModel, text_encoder: CLIPTextModel) -> None:
        super().__init__()
        self.unet, self.text_encoder = unet, text_encoder
        self.layout = LayoutHead(text_encoder.config.hidden_size)
        self.reader = SceneReader(text_encoder.config.hidden_size)


class DiffusionStage:
    """Noise prediction over latent sets with a curriculum of lessons."""

    name = "diffusion"

    def __init__(
        self,
        pair: Pair,
        tokenizer: CLIPTokenizer,
        read: Callable[[str], LatentSet],
        lessons: Sequence[Lesson],
        *,
        scale: float,
        seed: int,
        avoid: frozenset[str] = frozenset(),
        probes: Sequence[Probe] = (),
        emphasis: Emphasis = Emphasis(),
        peak_rate: float = 8e-4,
        weight_decay: float = 0.01,
    ) -> None:
        self.model, self.tokenizer, self.lessons, self.probes = pair, tokenizer, lessons, probes
        self.read, self.pools = read, dict[str, LatentSet]()
        self.scale, self.seed, self.avoid = scale, seed, avoid
        self.peak_rate, self.weight_decay = peak_rate, weight_decay
        self.alphas = cumulative_alphas()
        self.emphasis = emphasis
        self.weights = timestep_weights(self.alphas, cap=emphasis.cap)

    def loss(self, step: int) -> Tensor:
        lesson = next((one for one in self.lessons if step < one.until), self.lessons[-1])
        rng = random.Random(f"{self.seed}:{step}")
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + step)
        device = next(self.model.parameters()).device
        latents, texts, scenes = self._batch(lesson, rng)
        noise = torch.randn(latents.shape, generator=generator)
        times = self._times(len(texts), generator)
        alpha = self.alphas[times].view(-1, 1, 1, 1)
        noisy = alpha.sqrt() * latents + (1 - alpha).sqrt() * noise
        tokens = self._tokens(texts).to(device)
        noisy, noise, latents, times_there = (v.to(device) for v in (noisy, noise, latents, times))
        with torch.autocast(device.type, dtype=torch.bfloat16):
            text = self.model.text_encoder(tokens)
            predicted = self.model.unet(noisy, times_there, text.last_hidden_state, return_dict=False)[0]
        loss = noise_loss(predicted, noise, self.weights[times].to(device))
        return loss + self._text_loss(text.pooler_output.float(), latents, texts, scenes)

    def measure(self) -> dict[str, float]:
        """Rise of the noise error, in percent, when one word of the caption is wrong."""
        return {probe.name: swapped_word_rise(self, probe) for probe in self.probes}

    def error(self, latents: Tensor, texts: Sequence[str], *, time: int, seed: int) -> Tensor:
        """Mean square error of the predicted noise at one timestep, a value for each sample."""
        device = next(self.model.parameters()).device
        noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(seed))
        alpha = self.alphas[time]
        noisy = (alpha.sqrt() * latents + (1 - alpha).sqrt() * noise).to(device)
        with torch.no_grad(), torch.autocast(device.type, dtype=torch.bfloat16):
            text = self.model.text_encoder(self._tokens(texts).to(device)).last_hidden_state
            predicted = self.model.unet(noisy, time, text, return_dict=False)[0]
        error: Tensor = (predicted.float().cpu() - noise).square().mean(dim=(1, 2, 3))
        return error

    def _text_loss(
        self, pooled: Tensor, latents: Tensor, texts: Sequence[str], scenes: Sequence[Scene]
    ) -> Tensor:
        """What the end-of-text vector should tell: the rough layout and the scene; empty captions tell nothing."""
        told = torch.tensor([bool(text) for text in texts], device=pooled.device)
        wanted = functional.adaptive_avg_pool2d(latents[told], 4)
        layout = (self.model.layout(pooled[told]) - wanted).square().mean()
        answers = Answers.of([scene for scene, text in zip(scenes, texts, strict=True) if text])
        loss: Tensor = _LAYOUT_WEIGHT * layout + _READING_WEIGHT * self.model.reader.loss(
            pooled[told], answers
        )
        return loss

    def _batch(self, lesson: Lesson, rng: random.Random) -> tuple[Tensor, list[str], list[Scene]]:
        chosen, texts, scenes = [], [], []
        for phase in rng.choices(list(lesson.shares), list(lesson.shares.values()), k=lesson.batch):
            if phase not in self.pools:
                self.pools[phase] = self.read(phase)
            pool = self.pools[phase]
            index = rng.randrange(len(pool))
            chosen.append(pool.latents[index])
            scenes.append(scene_of(pool.seeds[index], phase))
            texts.append("" if rng.random() < _DROPPED_CAPTIONS else self._text(scenes[-1], rng))
        return torch.stack(chosen).float() * self.scale, texts, scenes

    def _text(self, scene: Scene, rng: random.Random) -> str:
        text = caption(scene, rng)
        while text in self.avoid:
            text = caption(scene, rng)
        return text

    def _times(self, count: int, generator: torch.Generator) -> Tensor:
        high = torch.rand(count, generator=generator) < self.emphasis.high_noise_share
        late = torch.randint(_HIGH_NOISE_FIRST, 1000, (count,), generator=generator)
        return torch.where(high, late, torch.randint(0, 1000, (count,), generator=generator))

    def _tokens(self, texts: Sequence[str]) -> Tensor:
        encoded = self.tokenizer(list(texts), padding="max_length", truncation=True, return_tensors="pt")
        tokens: Tensor = encoded["input_ids"]
        return tokens
