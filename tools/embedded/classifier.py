"""The examiner's eye: a small network, trained only on generated scenes, that names the thing in a crop."""

from __future__ import annotations

import random
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageFilter
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from tools.embedded.captions import named_kinds
from tools.embedded.drawing import drawn
from tools.embedded.world import Draw, Mix, Scene

LABELS = (*named_kinds(), "nothing")
CROP = 64
_MIX = Mix(shapes=0.45, two=0.4, counted=0.05, light=0.3, extras=0.3, styled=0.1, forbidden=0.06)


def new_classifier() -> nn.Module:
    """(batch, 3, 64, 64) in -1..1 -> one score for each label."""
    widths = (3, 24, 48, 96, 128)
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(
        *layers, nn.Flatten(), nn.Linear(128 * 16, 128), nn.ReLU(), nn.Linear(128, len(LABELS))
    )


@dataclass(frozen=True, slots=True)
class Eye:
    """Names things at places of a picture."""

    model: nn.Module

    def names(self, picture: Image.Image, centres: list[tuple[float, float]]) -> list[str]:
        """The label seen at each centre (x, y in pixels)."""
        crops = torch.stack([_tensor(_crop(picture, x, y)) for x, y in centres])
        with torch.no_grad():
            return [LABELS[int(k)] for k in self.model(crops).argmax(dim=1)]


def train_eye(path: Path, *, steps: int = 900, batch: int = 48, seed: int = 5) -> Eye:
    """Train anew and write the weights to `path`."""
    torch.manual_seed(seed)
    model = new_classifier()
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.01)
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = 2e-3 * max(0.02, 1 - step / steps)
        crops, labels = _lesson(random.Random(f"eye:{seed}:{step}"), batch)
        loss = functional.cross_entropy(model(crops), labels, label_smoothing=0.05)
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".part")
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, draft)
    draft.replace(path)
    return Eye(model.eval())


def load_eye(path: Path) -> Eye:
    """The eye saved at `path`; trained first (about two minutes on one core) if there is none."""
    if not path.exists():
        return train_eye(path)
    model = new_classifier()
    model.load_state_dict(load_file(path))
    return Eye(model.eval())


def accuracy(eye: Eye, *, count: int = 300) -> float:
    """Share of things named rightly in unseen generated crops."""
    crops, labels = _lesson(random.Random("eye: unseen"), count)
    with torch.no_grad():
        return float((eye.model(crops).argmax(dim=1) == labels).float().mean())


def _lesson(rng: random.Random, batch: int) -> tuple[Tensor, Tensor]:
    crops: list[Tensor] = []
    labels: list[int] = []
    while len(crops) < batch:
        scene = Draw(_MIX, rng).scene()
        picture, spots = _seen(scene)
        picture = picture.filter(ImageFilter.GaussianBlur(rng.choice((0, 0, 0.7, 1.2, 1.8))))
        for label, (x, y) in spots:
            crops.append(_tensor(_crop(picture, x + rng.uniform(-7, 7), y + rng.uniform(-7, 7)), rng))
            labels.append(LABELS.index(label))
        if rng.random() < 0.1:
            x, y = rng.uniform(20, 108), rng.uniform(20, 108)
            if all(abs(x - a) + abs(y - b) > 62 for _, (a, b) in spots):
                crops.append(_tensor(_crop(picture, x, y), rng))
                labels.append(LABELS.index("nothing"))
    return torch.stack(crops), torch.tensor(labels)


def _seen(scene: Scene) -> tuple[Image.Image, list[tuple[str, tuple[float, float]]]]:
    drawing = drawn(scene)
    in_order = sorted(scene.things, key=lambda t: t.row)
    spots = [(thing.kind, centre(mask)) for thing, mask in zip(in_order, drawing.masks, strict=True)]
    return drawing.picture, spots


def centre(mask: Image.Image) -> tuple[float, float]:
    """The middle (x, y) of the box around a mask; the picture's middle if the mask is empty."""
    left, top, right, bottom = mask.getbbox() or (0, 0, mask.width, mask.height)
    return (left + right) / 2, (top + bottom) / 2


def _crop(picture: Image.Image, x: float, y: float) -> Image.Image:
    left, top = round(x - CROP / 2), round(y - CROP / 2)
    return picture.crop((left, top, left + CROP, top + CROP))


def _tensor(crop: Image.Image, rng: random.Random | None = None) -> Tensor:
    values = torch.from_numpy(np.array(crop)).permute(2, 0, 1).float() / 127.5 - 1
    if rng is not None and rng.random() < 0.5:
        values = values + 0.08 * torch.randn(
            values.shape, generator=torch.Generator().manual_seed(rng.getrandbits(31))
        )
    return values
