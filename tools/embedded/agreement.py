"""How well pictures agree with their prompts, as the CLIP vision tower sees it (Hessel et al. 2021, "CLIPScore")."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from nodes.diffusion.clip_vision import open_vision
from nodes.diffusion.weights import load
from tools.embedded.export import Parts
from tools.embedded.safety_stage import seen

_CANDIDATES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Mean cosine of pictures with their own prompts, with others', and the share nearest its own among twenty."""

    own: float
    others: float
    nearest: float


def agreement(parts: Parts, tower: Path, pictures: Sequence[Image.Image], texts: Sequence[str]) -> Agreement:
    """Compare each picture with its own prompt and with the others of its group of twenty."""
    with torch.no_grad():
        seen_as, told = _pictured(load_tower(tower), pictures), _told(parts, texts)
    own, others, nearest = [], [], []
    for start in range(0, len(pictures), _CANDIDATES):
        rows = slice(start, start + _CANDIDATES)
        near = seen_as[rows] @ told[rows].T
        mine = near.diagonal()
        own += mine.tolist()
        nearest += (near.argmax(dim=1) == torch.arange(len(near))).tolist()
        if len(near) > 1:
            others += ((near.sum(dim=1) - mine) / (len(near) - 1)).tolist()
    return Agreement(own=_mean(own), others=_mean(others), nearest=_mean(nearest))


def load_tower(path: Path) -> nn.Module:
    """The vision tower exported at `path`, as the nodes read it."""
    return load(open_vision(path)).float()


def _pictured(tower: Any, pictures: Sequence[Image.Image]) -> Tensor:
    side = int(tower.config.image_size)
    pixels = torch.stack([seen(picture, side) for picture in pictures])
    return functional.normalize(tower(pixels).image_embeds.float(), dim=1)


def _told(parts: Parts, texts: Sequence[str]) -> Tensor:
    tokens = parts.tokenizer()(list(texts), padding="longest", truncation=True, return_tensors="pt")
    return functional.normalize(parts.text_encoder(tokens["input_ids"]).pooler_output.float(), dim=1)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / max(1, len(values))
