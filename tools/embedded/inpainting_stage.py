"""Stage "inpainting": the UNet learns to fill a masked region from what it is shown of the rest.

Its input has nine channels, as Stable Diffusion's inpainting checkpoints have: noisy latents (4), mask (1; 1 where to
fill) and latents of the picture with grey in the masked region (4).
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from tools.embedded.captions import caption_besides
from tools.embedded.drawing import SIDE, Drawing, drawn
from tools.embedded.held_out import HeldOut
from tools.embedded.models import LATENT_CHANNELS, Sizes, new_unet
from tools.embedded.noising import Noising
from tools.embedded.tokenizer import hidden_states
from tools.embedded.vae_stage import as_pixels
from tools.embedded.world import scene_of

CHANNELS = 2 * LATENT_CHANNELS + 1
_REDUCTION = 8
_FIRST = 300_000_000
_BATCH = 16
_DROPPED_CAPTIONS = 0.1
_MASKED_WEIGHT = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskedSet:
    """Latents of pictures (count, 4, side, side), of the same with the region grey, and masks (count, 1, side, side).

    `seeds` and `phases` name the scenes.
    """

    latents: Tensor
    masked: Tensor
    masks: Tensor
    seeds: tuple[int, ...]
    phases: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.seeds)


def encode_masked(
    vae: AutoencoderKL, path: Path, *, shares: Mapping[str, float], count: int, held_out: HeldOut
) -> None:
    """Draw `count` scenes, each with one region to fill, and encode them whole and with the region grey."""
    scenes = _allowed(shares, count, held_out)
    device = next(vae.parameters()).device
    latents, masked, masks = [], [], []
    for start in range(0, count, _BATCH):
        drawings = [drawn(scene_of(seed, phase)) for seed, phase in scenes[start : start + _BATCH]]
        holes = [
            region(drawing, random.Random(f"region:{start + row}")) for row, drawing in enumerate(drawings)
        ]
        whole, hole = as_pixels([drawing.picture for drawing in drawings]), torch.stack(holes)
        with torch.no_grad(), torch.autocast(device.type, dtype=torch.bfloat16):
            both = vae.encode(torch.cat([whole, whole * (1 - hole)]).to(device)).latent_dist.mean
        clear, grey = both.half().cpu().chunk(2)
        latents.append(clear)
        masked.append(grey)
        masks.append(nn.functional.interpolate(hole, scale_factor=1 / _REDUCTION, mode="nearest"))
    tensors = {
        "latents": torch.cat(latents),
        "masked": torch.cat(masked),
        "masks": torch.cat(masks).half(),
        "seeds": torch.tensor([seed for seed, _ in scenes]),
        "phases": torch.tensor([list(shares).index(phase) for _, phase in scenes]),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".part")
    save_file({name: value.contiguous() for name, value in tensors.items()}, draft)
    draft.replace(path)


def read_masked(path: Path, shares: Mapping[str, float]) -> MaskedSet:
    """The set at `path`. Raises FileNotFoundError if there is none."""
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: run the stage 'masked-latents' first.")
    tensors, names = load_file(path), list(shares)
    return MaskedSet(
        latents=tensors["latents"],
        masked=tensors["masked"],
        masks=tensors["masks"],
        seeds=tuple(tensors["seeds"].tolist()),
        phases=tuple(names[k] for k in tensors["phases"].tolist()),
    )


def region(drawing: Drawing, rng: random.Random) -> Tensor:
    """A region to fill, (1, side, side) with 1 inside: mostly around a thing, else a box anywhere, a half, or all."""
    hole = torch.zeros(1, SIDE, SIDE)
    lot = rng.random()
    if lot < 0.6:
        box = rng.choice(drawing.masks).getbbox() or (0, 0, SIDE, SIDE)
        grown = [rng.randint(2, 20) for _ in range(4)]
        left, top, right, bottom = box[0] - grown[0], box[1] - grown[1], box[2] + grown[2], box[3] + grown[3]
    elif lot < 0.85:
        width, height = rng.randint(24, 96), rng.randint(24, 96)
        left, top = rng.randint(0, SIDE - width), rng.randint(0, SIDE - height)
        right, bottom = left + width, top + height
    elif lot < 0.95:
        cut = rng.randint(32, 96)
        left, top, right, bottom = rng.choice(
            ((0, 0, cut, SIDE), (cut, 0, SIDE, SIDE), (0, 0, SIDE, cut), (0, cut, SIDE, SIDE))
        )
    else:
        left, top, right, bottom = 0, 0, SIDE, SIDE
    hole[:, max(0, top) : bottom, max(0, left) : right] = 1
    return hole


def widened(unet: UNet2DConditionModel, sizes: Sizes) -> UNet2DConditionModel:
    """A copy of `unet` that takes nine channels, and at first makes nothing of the five new ones."""
    wide = new_unet(sizes, channels=CHANNELS)
    state = dict(unet.state_dict())
    first = state["conv_in.weight"]
    state["conv_in.weight"] = torch.cat([first, first.new_zeros(first.shape[0], CHANNELS - 4, 3, 3)], dim=1)
    wide.load_state_dict(state)
    return wide


class InpaintingStage:
    """Noise prediction with mask and masked picture shown; the error counts more inside the mask."""

    name = "inpainting"
    weight_decay = 0.01

    def __init__(
        self,
        unet: UNet2DConditionModel,
        text_encoder: CLIPTextModel,
        tokenizer: CLIPTokenizer,
        pictures: MaskedSet,
        *,
        scale: float,
        seed: int,
        batch: int,
        peak_rate: float,
        avoid: frozenset[str] = frozenset(),
    ) -> None:
        self.model: nn.Module = unet
        self.text_encoder, self.tokenizer = text_encoder.requires_grad_(False).eval(), tokenizer
        self.pictures, self.scale, self.seed, self.batch = pictures, scale, seed, batch
        self.peak_rate, self.avoid = peak_rate, avoid
        self.noising = Noising(high_noise_share=0.25, cap=6.0)

    def loss(self, step: int) -> Tensor:
        return self._error(random.Random(f"inpainting:{self.seed}:{step}"), self.batch, shown=True)

    def measure(self) -> dict[str, float]:
        """Noise error in percent of that with another picture's surroundings shown."""
        with torch.no_grad():
            right = self._error(random.Random("inpainting: fixed"), 32, shown=True)
            wrong = self._error(random.Random("inpainting: fixed"), 32, shown=False)
        return {"error_of_wrong_surroundings": float(100 * right / wrong)}

    def _error(self, rng: random.Random, count: int, *, shown: bool) -> Tensor:
        chosen = [rng.randrange(len(self.pictures)) for _ in range(count)]
        latents = self.pictures.latents[chosen].float() * self.scale
        masked = self.pictures.masked[chosen].float() * self.scale
        masks = self.pictures.masks[chosen].float()
        masked = masked if shown else masked.roll(1, dims=0)
        generator = torch.Generator().manual_seed(rng.getrandbits(31))
        device = next(self.model.parameters()).device
        noised = self.noising.noised(latents, generator).to(device)
        texts = [self._text(index, rng) for index in chosen]
        text = hidden_states(self.text_encoder, self.tokenizer, texts)
        given = torch.cat([noised.noisy, masks.to(device), masked.to(device)], dim=1)
        with torch.autocast(device.type, dtype=torch.bfloat16):
            predicted = self.model(given, noised.times, text, return_dict=False)[0]
        places = 1 + _MASKED_WEIGHT * masks.to(device)
        return noised.loss(predicted, places)

    def _text(self, index: int, rng: random.Random) -> str:
        if rng.random() < _DROPPED_CAPTIONS:
            return ""
        scene = scene_of(self.pictures.seeds[index], self.pictures.phases[index])
        return caption_besides(self.avoid, scene, rng)


def _allowed(shares: Mapping[str, float], count: int, held_out: HeldOut) -> list[tuple[int, str]]:
    rng, found, seed = random.Random("masked pictures"), list[tuple[int, str]](), _FIRST
    while len(found) < count:
        phase = rng.choices(list(shares), list(shares.values()))[0]
        seed += 1
        if scene_of(seed, phase).meaning() not in held_out.meanings:
            found.append((seed, phase))
    return found
