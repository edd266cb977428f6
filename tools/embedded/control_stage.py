"""Stage "control": a ControlNet (Zhang et al. 2023) learns to make the finished UNet follow the outlines of a map."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from functools import cache

import numpy as np
import torch
from diffusers import ControlNetModel, UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from nodes.diffusion.edges import canny
from nodes.values import Image as Pictures
from tools.embedded.captions import caption
from tools.embedded.drawing import picture_of
from tools.embedded.latents import LatentSet
from tools.embedded.noising import Noising
from tools.embedded.tokenizer import hidden_states
from tools.embedded.world import Scene, scene_of

LOW, HIGH = 0.2, 0.4
_DROPPED_CAPTIONS = 0.3


def new_control(unet: UNet2DConditionModel) -> ControlNetModel:
    """A copy of the UNet's downward half with zero outputs."""
    return ControlNetModel.from_unet(unet, conditioning_channels=3)


def outlines(scene: Scene) -> Tensor:
    """The map of a scene's drawing: (3, side, side), white lines on black."""
    pixels = torch.from_numpy(np.array(picture_of(scene))).float()[None] / 255
    return canny(Pictures(pixels), LOW, HIGH).pixels[0].permute(2, 0, 1)


class ControlStage:
    """The UNet's own loss with the map shown; captions are often left out, so that the map is needed."""

    name = "control"
    weight_decay = 0.01
    peak_rate = 8e-4

    def __init__(
        self,
        control: ControlNetModel,
        unet: UNet2DConditionModel,
        text_encoder: CLIPTextModel,
        tokenizer: CLIPTokenizer,
        read: Callable[[str], LatentSet],
        *,
        shares: Mapping[str, float],
        scale: float,
        seed: int,
        batch: int = 16,
    ) -> None:
        self.model: nn.Module = control
        self.unet, self.text_encoder = unet.requires_grad_(False).eval(), text_encoder.eval()
        self.tokenizer, self.read, self.shares = tokenizer, cache(read), shares
        self.scale, self.seed, self.batch = scale, seed, batch
        self.noising = Noising(high_noise_share=0.5, high_noise_first=600)

    def loss(self, step: int) -> Tensor:
        rng = random.Random(f"control:{self.seed}:{step}")
        return self._error(rng, self.batch, shown=True).mean()

    def measure(self) -> dict[str, float]:
        """Noise error with the right map, in percent of the error with a map of another scene."""
        with torch.no_grad():
            right = self._error(random.Random("control: unseen"), 32, shown=True)
            wrong = self._error(random.Random("control: unseen"), 32, shown=False)
        return {"error_of_wrong_map": float(100 * right.mean() / wrong.mean())}

    def _error(self, rng: random.Random, count: int, *, shown: bool) -> Tensor:
        latents, texts, maps = self._batch(rng, count)
        maps = maps if shown else maps.roll(1, dims=0)
        generator = torch.Generator().manual_seed(rng.getrandbits(31))
        device = next(self.model.parameters()).device
        noised, maps = self.noising.noised(latents, generator).to(device), maps.to(device)
        with torch.autocast(device.type, dtype=torch.bfloat16):
            text = hidden_states(self.text_encoder, self.tokenizer, texts)
            down, mid = self.model(noised.noisy, noised.times, text, maps, return_dict=False)
            predicted = self.unet(
                noised.noisy,
                noised.times,
                text,
                down_block_additional_residuals=down,
                mid_block_additional_residual=mid,
                return_dict=False,
            )[0]
        return noised.loss(predicted)

    def _batch(self, rng: random.Random, count: int) -> tuple[Tensor, list[str], Tensor]:
        chosen, texts, maps = [], [], []
        for phase in rng.choices(list(self.shares), list(self.shares.values()), k=count):
            pool = self.read(phase)
            index = rng.randrange(len(pool))
            scene = scene_of(pool.seeds[index], phase)
            chosen.append(pool.latents[index])
            texts.append("" if rng.random() < _DROPPED_CAPTIONS else caption(scene, rng))
            maps.append(outlines(scene))
        return torch.stack(chosen).float() * self.scale, texts, torch.stack(maps)
