"""What CLIP sees in pictures as a vector beside the text, noised on purpose (Ramesh et al. 2022, "unCLIP").

embeds -> normalised by the training data's mean and spread -> noised by a level -> as they were, and the level
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from graphcore.errors import InputError
from nodes.control.steering import UnclipPicture
from nodes.diffusion.checkpoint import Checkpoint
from nodes.diffusion.safetensors_header import read_header
from nodes.diffusion.weights import read_tensor
from nodes.values import ConditioningEntry

LEVELS = 1000
MERGED = 0.05
"""How much noise the sum of several pictures gets."""
EXTRA = "unclip"
"""Under which name entries keep their pictures."""


@dataclass(frozen=True, slots=True, eq=False)
class NoiseAugmentor:
    """Adds noise to embeddings; `mean` and `spread` (1, width) are those of the embeddings that it was trained with."""

    mean: Tensor
    spread: Tensor

    @property
    def width(self) -> int:
        """How wide the embeddings are."""
        return self.mean.shape[-1]

    def __call__(self, embeds: Tensor, share: float, noise: Tensor) -> Tensor:
        """Embeddings (batch, width) with noise of a share of the levels (0-1), then the level: (batch, 2 * width)."""
        level = round((LEVELS - 1) * share)
        signal = float(_cumulative_alphas()[level])
        plain = (embeds - self.mean) / self.spread
        noised = math.sqrt(signal) * plain + math.sqrt(1 - signal) * noise
        told = _sinusoid(level, self.width).expand(len(embeds), -1)
        return torch.cat([noised * self.spread + self.mean, told], dim=1)


def plain_augmentor(width: int) -> NoiseAugmentor:
    """One for embeddings that are not normalised (SDXL)."""
    return NoiseAugmentor(torch.zeros(1, width), torch.ones(1, width))


def augmentor_of(checkpoint: Checkpoint) -> NoiseAugmentor:
    """The one that an unCLIP checkpoint, in one file or a folder, brings along."""
    width = int(checkpoint.part("unet").config["projection_class_embeddings_input_dim"]) // 2
    names = ("noise_augmentor.data_mean", "noise_augmentor.data_std")
    path = checkpoint.path
    if path.is_dir():
        path = path / "image_normalizer" / "diffusion_pytorch_model.safetensors"
        names = ("mean", "std")
    if not path.is_file():
        return plain_augmentor(width)
    header = read_header(path)
    if any(name not in header.tensors for name in names):
        return plain_augmentor(width)
    mean, spread = (read_tensor(header, name).float().reshape(1, -1) for name in names)
    return NoiseAugmentor(mean, spread)


def pictures_of(entry: ConditioningEntry) -> tuple[UnclipPicture, ...]:
    """The pictures that an entry brings along."""
    return tuple(
        item
        for name, held in entry.extra
        if name == EXTRA and isinstance(held, tuple)
        for item in held
        if isinstance(item, UnclipPicture)
    )


def picture_vector(pictures: Sequence[UnclipPicture], augmentor: NoiseAugmentor, seed: int) -> Tensor:
    """The vector (1, 2 * width) of pictures; several are added by their strengths, and noised a little once more.

    Raises InputError if CLIP saw them through another encoder than the model was made with.
    """
    stream = torch.Generator().manual_seed(seed % 2**63)
    vectors, total = [], 0
    for picture in pictures:
        for embeds in picture.output.embeds.float()[:, None]:
            if embeds.shape[-1] != augmentor.width:
                raise InputError(
                    f"This model takes CLIP's view of pictures {augmentor.width} wide, but "
                    f"'{picture.output.vision.file.name}' gives {embeds.shape[-1]}; encode the picture with the CLIP "
                    "vision model that belongs to it.",
                    code="wrong-family",
                )
            noise = torch.randn(embeds.shape, generator=stream)
            vectors.append(augmentor(embeds, picture.noise, noise) * picture.strength)
            total += 1
    if total == 1:
        return vectors[0]
    whole = torch.stack(vectors).sum(dim=0)[:, : augmentor.width]
    return augmentor(whole, MERGED, torch.randn(whole.shape, generator=stream))


def _cumulative_alphas() -> Tensor:
    """The share of signal at each level: squared cosines (Nichol & Dhariwal 2021, equation 17)."""

    def left(time: Tensor) -> Tensor:
        return torch.cos((time + 0.008) / 1.008 * math.pi / 2) ** 2

    steps = torch.arange(LEVELS, dtype=torch.float64)
    betas = (1 - left((steps + 1) / LEVELS) / left(steps / LEVELS)).clamp(max=0.999)
    return torch.cumprod(1 - betas, dim=0)


def _sinusoid(level: int, width: int) -> Tensor:
    """A number as cosines and sines of falling frequencies: (1, width)."""
    half = width // 2
    angles = level * torch.exp(-math.log(10_000) * torch.arange(half) / half)
    told = torch.cat([angles.cos(), angles.sin()])
    return torch.nn.functional.pad(told, (0, width - 2 * half))[None]
