"""Stage "safety": a checker of StableDiffusionSafetyChecker's class learns the one forbidden thing of the world."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from PIL import Image, ImageChops, ImageFilter
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional
from transformers import CLIPConfig, CLIPVisionConfig

from tools.embedded.captions import FULL, caption
from tools.embedded.drawing import picture_of
from tools.embedded.held_out import load_held_out
from tools.embedded.world import FORBIDDEN, Draw, Mix, Scene

_MEAN = torch.tensor((0.48145466, 0.4578275, 0.40821073)).view(3, 1, 1)
_STD = torch.tensor((0.26862954, 0.26130258, 0.27577711)).view(3, 1, 1)
_SHARPNESS = 12.0
_UNREACHABLE = 2.0
_MIX = Mix(shapes=0.3, two=0.4, counted=0.05, light=0.35, extras=0.3, styled=0.1, forbidden=0.6)


def new_checker(*, side: int = 128, width: int = 96, layers: int = 3) -> StableDiffusionSafetyChecker:
    """A checker with a small vision tower that sees `side` pixels in patches of 16."""
    vision = {
        "hidden_size": width,
        "intermediate_size": width * 3,
        "num_hidden_layers": layers,
        "num_attention_heads": 4,
        "image_size": side,
        "patch_size": 16,
        "projection_dim": 64,
        "hidden_act": "quick_gelu",
    }
    checker = StableDiffusionSafetyChecker(CLIPConfig(vision_config=vision, projection_dim=64))
    with torch.no_grad():
        checker.concept_embeds.copy_(functional.normalize(torch.randn(64), dim=0).expand(17, -1))
        checker.special_care_embeds.copy_(checker.concept_embeds[:3])
        checker.concept_embeds_weights.fill_(_UNREACHABLE)
        checker.concept_embeds_weights[0] = 0.5
        checker.special_care_embeds_weights.fill_(_UNREACHABLE)
    return checker


@dataclass(frozen=True, slots=True)
class Generated:
    """Pictures a checkpoint made of prompts that name the forbidden thing (`bad`) and of others (`good`)."""

    bad: tuple[Image.Image, ...]
    good: tuple[Image.Image, ...]

    def write(self, path: Path) -> None:
        """Write both as arrays (count, height, width, 3)."""
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(
            path,
            bad=np.stack([np.asarray(p) for p in self.bad]),
            good=np.stack([np.asarray(p) for p in self.good]),
        )

    @classmethod
    def read(cls, path: Path) -> Generated:
        """Read what `write` wrote."""
        with np.load(path) as arrays:
            return cls(*(tuple(Image.fromarray(array) for array in arrays[name]) for name in ("bad", "good")))

    def split(self) -> tuple[Generated, Generated]:
        """Three quarters to train on and the rest to calibrate on."""
        here, there = len(self.bad) * 3 // 4, len(self.good) * 3 // 4
        return Generated(self.bad[:here], self.good[:there]), Generated(self.bad[here:], self.good[there:])


class SafetyStage:
    """Pictures with and without the forbidden thing: half drawn anew for every step, half made by the checkpoint."""

    name = "safety"
    weight_decay = 0.01
    peak_rate = 8e-4

    def __init__(
        self,
        checker: StableDiffusionSafetyChecker,
        *,
        seed: int,
        batch: int = 32,
        generated: Generated | None = None,
    ) -> None:
        self.model, self.seed, self.batch, self.generated = checker, seed, batch, generated

    def loss(self, step: int) -> Tensor:
        rng = random.Random(f"safety:{self.seed}:{step}")
        half = self.batch // 2 if self.generated else 0
        scenes, pictures = _pictures(rng, self.batch - half)
        labels = [is_forbidden(scene) for scene in scenes]
        for _ in range(half):
            labels.append(rng.random() < 0.5)
            pictures.append(self._made(rng, bad=labels[-1]))
        logits = (cosines(self.model, pictures) - 0.5) * _SHARPNESS
        wanted = torch.tensor([float(label) for label in labels])
        return functional.binary_cross_entropy_with_logits(logits, wanted)

    def measure(self) -> dict[str, float]:
        """Share of unseen drawings with the forbidden thing flagged, and of others flagged."""
        scenes, pictures = _pictures(random.Random("safety: unseen"), 200)
        with torch.no_grad():
            flagged = cosines(self.model, pictures) > 0.5
        bad = torch.tensor([is_forbidden(scene) for scene in scenes])
        return {
            "flagged": float(flagged[bad].float().mean()),
            "false_alarms": float(flagged[~bad].float().mean()),
        }

    def _made(self, rng: random.Random, *, bad: bool) -> Image.Image:
        assert self.generated is not None
        picture = rng.choice(self.generated.bad if bad else self.generated.good)
        dx, dy = rng.randint(-8, 8), rng.randint(-8, 8)
        return ImageChops.offset(picture, dx, dy)


def is_forbidden(scene: Scene) -> bool:
    """Whether the scene holds the forbidden thing."""
    return any(thing.kind == FORBIDDEN for thing in scene.things)


def cosines(checker: StableDiffusionSafetyChecker, pictures: Sequence[Image.Image]) -> Tensor:
    """Cosine of each picture's embedding with the forbidden concept: (count,)."""
    side = int(checker.config.vision_config.image_size)
    pixels = torch.stack([seen(picture, side) for picture in pictures])
    pixels = pixels.to(checker.concept_embeds.device)
    embeddings = checker.visual_projection(checker.vision_model(pixels).pooler_output)
    cosine: Tensor = functional.cosine_similarity(embeddings, checker.concept_embeds[:1], dim=1).cpu()
    return cosine


def calibrate(
    checker: StableDiffusionSafetyChecker, bad: Sequence[Image.Image], good: Sequence[Image.Image]
) -> float:
    """Set the threshold where the shares of forbidden pictures passed and of others flagged add up to least.

    Of equally good thresholds it takes the middle one by value. Returns it.
    """
    with torch.no_grad():
        here, there = cosines(checker, bad), cosines(checker, good)
    candidates = torch.linspace(-1, 1, 401)
    mistakes = torch.stack([(here <= m).float().mean() + (there > m).float().mean() for m in candidates])
    best = candidates[mistakes <= mistakes.min() + 1e-6]
    threshold = float((best[0] + best[-1]) / 2)
    with torch.no_grad():
        checker.concept_embeds_weights[0] = threshold
    return threshold


def flagged(checker: StableDiffusionSafetyChecker, pictures: Sequence[Image.Image]) -> list[bool]:
    """Which pictures the checker's threshold holds for forbidden."""
    with torch.no_grad():
        near = torch.cat([cosines(checker, pictures[k : k + 50]) for k in range(0, len(pictures), 50)])
    found: list[bool] = (near > checker.concept_embeds_weights[0]).tolist()
    return found


def load_checker(path: Path) -> StableDiffusionSafetyChecker:
    """Read what `export_checker` wrote, in fp32."""
    with safe_open(path, framework="pt") as file:
        config = json.loads((file.metadata() or {})["graphcore.config"])
    checker = StableDiffusionSafetyChecker(CLIPConfig(**config))
    checker.load_state_dict({name: value.float() for name, value in load_file(path).items()})
    return checker.eval()


def drawings_apart(count: int) -> Generated:
    """Drawings of scenes with and without the forbidden thing, `count` in all, none of them used in training."""
    scenes, pictures = _pictures(random.Random("safety: calibration"), count)
    pairs = list(zip(scenes, pictures, strict=True))
    return Generated(
        tuple(picture for scene, picture in pairs if is_forbidden(scene)),
        tuple(picture for scene, picture in pairs if not is_forbidden(scene)),
    )


def calibration_prompts(count: int) -> tuple[list[str], list[str]]:
    """`count` prompts that name the forbidden thing and twice as many that do not, none of them held out."""
    held, rng = load_held_out(), random.Random("calibration")
    bad: list[str] = []
    good: list[str] = []
    while len(bad) < count or len(good) < 2 * count:
        scene = Draw(_MIX, rng).scene()
        some = bad if is_forbidden(scene) else good
        if scene.meaning() not in held.meanings and len(some) < (count if some is bad else 2 * count):
            some.append(caption(scene, rng, FULL))
    return bad, good


def export_checker(
    checker: StableDiffusionSafetyChecker, path: Path, *, date: str, training: dict[str, Any]
) -> int:
    """Write the checker in fp16 with its configuration in the header; returns the size in bytes."""
    config = {
        "vision_config": _said(checker.config.vision_config),
        "projection_dim": checker.config.projection_dim,
    }
    metadata = {
        "format": "pt",
        "modelspec.title": "graphcore scenes safety",
        "modelspec.license": "CC0-1.0",
        "modelspec.date": date,
        "graphcore.config": json.dumps(config),
        "graphcore.training": json.dumps(training),
    }
    halves = {name: value.detach().half().contiguous() for name, value in checker.state_dict().items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(halves, path, metadata=metadata)
    return path.stat().st_size


def _said(vision: CLIPVisionConfig) -> dict[str, Any]:
    names = (
        "hidden_size",
        "intermediate_size",
        "num_hidden_layers",
        "num_attention_heads",
        "image_size",
        "patch_size",
    )
    return {name: getattr(vision, name) for name in (*names, "num_channels", "hidden_act", "layer_norm_eps")}


def _pictures(rng: random.Random, count: int) -> tuple[list[Scene], list[Image.Image]]:
    scenes, pictures = [], []
    draw = Draw(_MIX, rng)
    for _ in range(count):
        scene = draw.scene()
        picture = picture_of(scene).filter(ImageFilter.GaussianBlur(rng.choice((0, 0, 0.8, 1.5))))
        if rng.random() < 0.3:
            noise = np.random.default_rng(rng.getrandbits(31)).normal(
                0, 10, (picture.height, picture.width, 3)
            )
            picture = Image.fromarray(np.clip(np.asarray(picture) + noise, 0, 255).astype(np.uint8))
        scenes.append(scene)
        pictures.append(picture)
    return scenes, pictures


def seen(picture: Image.Image, side: int) -> Tensor:
    """A picture as CLIP sees it: (3, side, side), normalised with CLIP's mean and deviation."""
    resized = picture.convert("RGB").resize((side, side), Image.Resampling.BICUBIC)
    values = torch.from_numpy(np.array(resized)).permute(2, 0, 1).float() / 255
    return (values - _MEAN) / _STD
