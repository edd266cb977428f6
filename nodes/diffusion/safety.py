"""The safety checker of Stable Diffusion, as diffusers stores it: pictures that are near concepts are flagged.

    picture -> CLIP vision encoder -> projection -> cosine with each concept's vector - its threshold -> score

A score above 0 flags. Pictures near a special-care concept are judged more strictly by 0.01. A checker that is absent,
incomplete or broken raises an error: nothing passes unseen.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from PIL import Image as Pillow
from torch import Tensor, nn
from torch.nn import functional

from graphcore.context import Services
from graphcore.errors import InputError, ModelFileError
from nodes.diffusion.leases import LeaseCache, Made
from nodes.diffusion.pictures import to_pillow
from nodes.diffusion.resizing import resize
from nodes.diffusion.safetensors_header import read_header
from nodes.diffusion.weights import read_tensor
from nodes.values import FileRef, Image, SafetyVerdict

CONFIG_KEY = "graphcore.config"
MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
STRICTER = 0.01
WEIGHT_FILES = ("model.safetensors", "diffusion_pytorch_model.safetensors")
CONCEPTS = ("concept_embeds", "concept_embeds_weights", "special_care_embeds", "special_care_embeds_weights")
BUDGET_BYTES = 4 * 2**30
BLUR_CELLS = 8
LONGEST = 16
"""How many times as long as wide a picture may be before its ends are cut off."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Concepts:
    """Vectors (concepts, width) and the cosine above which a picture is near them (concepts,)."""

    vectors: Tensor
    thresholds: Tensor

    def scores(self, embedding: Tensor) -> Tensor:
        """Cosine less threshold, for an embedding (width,)."""
        cosines = functional.cosine_similarity(embedding[None], self.vectors, dim=1)
        return cosines - self.thresholds


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SafetyChecker:
    """A checker ready to judge; `side` is the size that its encoder sees."""

    vision: nn.Module
    projection: Tensor
    concepts: Concepts
    special: Concepts
    side: int

    @torch.inference_mode()
    def judge(self, image: Image, *, sensitivity: float, action: str) -> tuple[SafetyVerdict, ...]:
        """One verdict a picture. `sensitivity` is added to every score.

        Raises InputError if a score is not a number: a broken checker must not pass anything.
        """
        return tuple(self._verdict(picture, sensitivity, action) for picture in image.pixels)

    def _verdict(self, picture: Tensor, sensitivity: float, action: str) -> SafetyVerdict:
        seen = _as_seen(picture, self.side)
        pooled = self.vision(seen[None]).pooler_output[0].float()
        embedding = self.projection @ pooled
        adjustment = sensitivity
        for score in self.special.scores(embedding).tolist():
            if round(score + adjustment, 3) > 0:
                adjustment = sensitivity + STRICTER
        scores = self.concepts.scores(embedding) + adjustment
        if not bool(torch.isfinite(scores).all()):
            raise InputError(
                "The safety model gave scores that are not numbers, so its file is broken or the picture is; "
                "nothing was let through.",
                code="safety-model",
            )
        rounded = tuple(round(score, 3) for score in scores.tolist())
        return SafetyVerdict(flagged=any(score > 0 for score in rounded), scores=rounded, action=action)


class SafetyCheckers:
    """The checkers of one engine, by file."""

    def __init__(self) -> None:
        self._loaded = LeaseCache(budget_bytes=BUDGET_BYTES)

    @classmethod
    def create(cls, services: Services) -> Self:
        """The checkers of one engine."""
        del services
        return cls()

    def get(self, file: FileRef, path: Path) -> SafetyChecker:
        """The checker in a file or folder; raises ModelFileError if it is not a whole one."""

        def make() -> Made[SafetyChecker]:
            checker = load_checker(path)
            size = sum(tensor.nbytes for tensor in checker.vision.state_dict().values())
            return Made(value=checker, bytes=size)

        with self._loaded.lease(file, make) as checker:
            return checker

    def close(self) -> None:
        """Drop all checkers."""
        self._loaded.close()


def load_checker(path: Path) -> SafetyChecker:
    """Read a checker from diffusers' folder or from one `.safetensors` file; raises ModelFileError if it is incomplete.

    A file's vision configuration is taken from `<file>.json` or the header's `graphcore.config`, else from its shapes.
    """
    weights = _weights_file(path)
    header = read_header(weights)
    state = {name: read_tensor(header, name).float() for name in header.tensors}
    missing = [name for name in (*CONCEPTS, "visual_projection.weight") if name not in state]
    if missing:
        raise _broken(path, f"lacks {', '.join(missing)}")
    config = _vision_config(path, header.metadata, state)
    if not all(bool(torch.isfinite(tensor).all()) for tensor in state.values() if tensor.is_floating_point()):
        raise _broken(path, "holds values that are not finite")
    vision = _vision(path, config, state)
    checker = SafetyChecker(
        vision=vision,
        projection=state["visual_projection.weight"],
        concepts=Concepts(vectors=state["concept_embeds"], thresholds=state["concept_embeds_weights"]),
        special=Concepts(
            vectors=state["special_care_embeds"], thresholds=state["special_care_embeds_weights"]
        ),
        side=int(config["image_size"]),
    )
    _check_shapes(path, checker, int(config["hidden_size"]))
    return checker


def _weights_file(path: Path) -> Path:
    if not path.is_dir():
        return path
    for name in WEIGHT_FILES:
        if (path / name).exists():
            return path / name
    raise _broken(path, "is a folder without model.safetensors")


def _vision_config(path: Path, metadata: Mapping[str, str], state: Mapping[str, Tensor]) -> dict[str, Any]:
    texts = []
    beside = path / "config.json" if path.is_dir() else path.with_suffix(".json")
    for place in (beside, path.with_name(f"{path.name}.json")):
        if place.is_file():
            texts.append(place.read_text(encoding="utf-8"))
    texts.extend(metadata[key] for key in (CONFIG_KEY,) if key in metadata)
    config = _config_from_shapes(path, state)
    for text in texts:
        try:
            said = json.loads(text)
        except ValueError as error:
            raise _broken(path, "has a configuration that is no JSON") from error
        if isinstance(said, dict) and isinstance(said.get("vision_config"), dict):
            return {**config, **said["vision_config"]}
    return config


def _config_from_shapes(path: Path, state: Mapping[str, Tensor]) -> dict[str, Any]:
    try:
        plain = {_plain_name(name): tensor for name, tensor in state.items()}
        patches = plain["embeddings.patch_embedding.weight"]
        width, channels, patch = patches.shape[0], patches.shape[1], patches.shape[2]
        places = plain["embeddings.position_embedding.weight"].shape[0] - 1
        layers = len({name.split(".")[2] for name in plain if name.startswith("encoder.layers.")})
        return {
            "hidden_size": width,
            "num_channels": channels,
            "patch_size": patch,
            "image_size": round(places**0.5) * patch,
            "num_hidden_layers": layers,
            "num_attention_heads": max(width // 64, 1),
            "intermediate_size": plain["encoder.layers.0.mlp.fc1.weight"].shape[0],
            "hidden_act": "quick_gelu",
        }
    except (KeyError, IndexError) as error:
        raise _broken(path, "lacks the vision encoder") from error


def _plain_name(name: str) -> str:
    return name.removeprefix("vision_model.").removeprefix("vision_model.")


def _vision(path: Path, config: Mapping[str, Any], state: Mapping[str, Tensor]) -> nn.Module:
    from transformers import CLIPVisionConfig, CLIPVisionModel

    try:
        vision: nn.Module = CLIPVisionModel(CLIPVisionConfig(**config)).eval()
    except (TypeError, ValueError) as error:
        raise _broken(path, f"has a configuration that cannot be used ({error})") from error
    plain = {_plain_name(name): tensor for name, tensor in state.items() if name.startswith("vision_model.")}
    wanted = vision.state_dict()
    given = {name: plain[_plain_name(name)] for name in wanted if _plain_name(name) in plain}
    absent = [name for name in wanted if name not in given and not name.endswith("position_ids")]
    wrong = [name for name, tensor in given.items() if tensor.shape != wanted[name].shape]
    if absent or wrong:
        raise _broken(path, f"does not fit its configuration at '{(absent or wrong)[0]}'")
    vision.load_state_dict(given, strict=False)
    return vision.requires_grad_(False)


def _check_shapes(path: Path, checker: SafetyChecker, hidden: int) -> None:
    width = checker.projection.shape[0]
    if checker.projection.shape != (width, hidden):
        raise _broken(path, "has a projection of the wrong shape")
    for concepts in (checker.concepts, checker.special):
        count = concepts.vectors.shape[0]
        if concepts.vectors.shape != (count, width) or concepts.thresholds.shape != (count,):
            raise _broken(path, "has concepts of the wrong shape")
    if not checker.concepts.vectors.shape[0]:
        raise _broken(path, "knows no concept")


def _broken(path: Path, what: str) -> ModelFileError:
    return ModelFileError(
        f"The safety model '{path.name}' {what}, so nothing is let through; use a whole StableDiffusionSafetyChecker "
        "(file or folder).",
        code="safety-model",
        location=path.name,
    )


def _as_seen(picture: Tensor, side: int) -> Tensor:
    """A picture (height, width, 3) as CLIP sees it: the shorter side resized, the middle cut out, normalised."""
    whole = _middle(to_pillow(picture))
    factor = side / min(whole.size)
    size = (max(side, int(whole.width * factor)), max(side, int(whole.height * factor)))
    small = whole.resize(size, Pillow.Resampling.BICUBIC)
    left, top = (small.width - side) // 2, (small.height - side) // 2
    array = np.asarray(small.crop((left, top, left + side, top + side)), dtype=np.float32) / 255
    return (torch.from_numpy(array) - torch.tensor(MEAN)).div(torch.tensor(STD)).movedim(-1, 0)


def _middle(whole: Pillow.Image) -> Pillow.Image:
    """The middle of a very long picture: what is beyond is cut off anyway, and would be enlarged for nothing."""
    longest = LONGEST * min(whole.size)
    width, height = min(whole.width, longest), min(whole.height, longest)
    left, top = (whole.width - width) // 2, (whole.height - height) // 2
    return whole.crop((left, top, left + width, top + height))


def filtered(image: Image, verdicts: tuple[SafetyVerdict, ...], action: str) -> Image:
    """The pictures; flagged ones black ("block"), unrecognisable ("blur"), or as they are ("flag")."""
    pixels = image.pixels.clone()
    for place, verdict in enumerate(verdicts):
        if verdict.flagged and action == "block":
            pixels[place] = 0
        elif verdict.flagged and action == "blur":
            pixels[place] = _blurred(pixels[place])
    return replace(image, pixels=pixels, verdicts=verdicts)


def _blurred(picture: Tensor) -> Tensor:
    """Averaged over a few cells and smoothed, so that nothing can be recognised or restored."""
    plane = picture.movedim(-1, 0)[None]
    height, width = plane.shape[-2:]
    factor = BLUR_CELLS / min(height, width)
    cells = resize(plane, max(1, round(width * factor)), max(1, round(height * factor)), "area")
    return resize(cells, width, height, "bicubic").clamp(0, 1)[0].movedim(0, -1)
