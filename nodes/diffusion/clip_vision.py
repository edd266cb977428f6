"""CLIP's image encoders: from pictures to what networks and scores take of them.

Files are transformers' or OpenCLIP's, or checkpoints that bring an image encoder along (unCLIP, Stable Video Diffusion,
Zero123).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from graphcore.errors import InputError, ModelFileError
from nodes.control.steering import ClipVision, ClipVisionOutput
from nodes.diffusion.families.family import Layout, PartKind
from nodes.diffusion.folder import part_folder
from nodes.diffusion.layouts import clip_vision
from nodes.diffusion.layouts.rules import NOT_THERE
from nodes.diffusion.model_config import explicit_config, merged, own_section
from nodes.diffusion.part import Part, below
from nodes.diffusion.precision import Precision
from nodes.diffusion.safetensors_header import read_header
from nodes.diffusion.store import ModelStore
from nodes.diffusion.weights import expected_bytes, load

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
SECTION = "vision_config"
PLACES: tuple[tuple[str, Layout], ...] = (
    ("", "transformers"),
    ("clip_vision.", "transformers"),
    ("image_encoder.", "transformers"),
    ("visual.", "openclip"),
    ("embedder.model.visual.", "openclip"),
    ("conditioner.embedders.0.open_clip.model.visual.", "openclip"),
    ("cond_stage_model.model.visual.", "openclip"),
)
CLASSES: dict[str, PartKind] = {"CLIPVisionModelWithProjection": "clip_vision", "CLIPModel": "clip_vision"}
FOLDER = "image_encoder"
"""Where pipelines in diffusers' layout keep theirs."""


def open_vision(path: Path) -> Part:
    """The image encoder in a file or folder, from its header alone.

    Raises ModelFileError for pickles, damaged files, and files without an image encoder and its projection.
    """
    if path.is_dir():
        return _in_folder(path)
    header = read_header(path)
    shapes = {name: info.shape for name, info in header.tensors.items()}
    for prefix, layout in PLACES:
        try:
            config = clip_vision.config_from(layout, below(shapes, prefix))
        except NOT_THERE:
            continue
        said = own_section(explicit_config(header), SECTION) if not prefix or prefix == "visual." else {}
        return Part(
            name="clip_vision",
            kind="clip_vision",
            config={**merged(config, said), "projection_dim": config["projection_dim"]},
            headers=(header,),
            prefix=prefix,
            layout=layout,
        )
    raise _no_encoder(path)


def _in_folder(path: Path) -> Part:
    inner = path / FOLDER if (path / FOLDER).is_dir() else path
    part = part_folder(inner, CLASSES, "CLIP image encoder")
    told = part.config.get(SECTION, part.config)
    shapes = {name: info.shape for header in part.headers for name, info in header.tensors.items()}
    try:
        found = clip_vision.config_from("transformers", shapes)
    except NOT_THERE as error:
        raise _no_encoder(path) from error
    config = merged(found, told if isinstance(told, Mapping) else {})
    return Part(name="clip_vision", kind="clip_vision", config=config, headers=part.headers)


def _no_encoder(path: Path) -> ModelFileError:
    return ModelFileError(
        f"{path.name} holds no CLIP image encoder with its projection; choose a CLIP vision file.",
        code="model-file-family",
        location=str(path),
    )


@dataclass(frozen=True, slots=True, eq=False)
class VisionEncoder:
    """An image encoder ready to see pictures."""

    module: Any
    value: ClipVision

    @property
    def side(self) -> int:
        """The size of the square that it sees, in pixels."""
        return int(self.module.config.image_size)

    def encode(self, pixels: Tensor, *, crop: bool = True) -> ClipVisionOutput:
        """What it sees in pictures (batch, height, width, 3) in [0, 1].

        They are resized so that the shorter side fits and cut around the centre, or with `crop` off squeezed.
        """
        return self.read(normalised(seen(pixels, self.side, crop=crop)))

    def blank(self) -> ClipVisionOutput:
        """What it sees in no picture: zeros after normalisation."""
        return self.read(torch.zeros(1, 3, self.side, self.side))

    @torch.inference_mode()
    def read(self, inputs: Tensor) -> ClipVisionOutput:
        """What it makes of normalised inputs (batch, 3, side, side)."""
        weights = self.module.visual_projection.weight
        found = self.module(inputs.to(weights), output_hidden_states=True)
        embeds, last, penultimate = (
            tensor.float().cpu().clone()
            for tensor in (found.image_embeds, found.hidden_states[-1], found.hidden_states[-2])
        )
        return ClipVisionOutput(
            embeds=embeds, last_hidden=last, penultimate_hidden=penultimate, vision=self.value
        )


@contextmanager
def vision_encoder(store: ModelStore, value: ClipVision) -> Iterator[VisionEncoder]:
    """The image encoder of a value, loaded, for the length of the block."""
    part = store.opened(value.file, open_vision)
    precision = Precision(dtype=store.text_precision.dtype)

    def make() -> nn.Module:
        store.resolve(value.file)
        return load(part)

    key = ("clip_vision", value.file)
    expected = expected_bytes(part, precision)
    with store.companion(key, make, precision=precision, expected_bytes=expected) as module:
        yield VisionEncoder(module, value)


def seen(pixels: Tensor, side: int, *, crop: bool) -> Tensor:
    """Pictures (batch, height, width, 3) as a square (batch, 3, side, side) of eight-bit levels in [0, 1].

    Raises InputError for what is no batch of pictures.
    """
    if pixels.ndim != 4 or pixels.shape[-1] < 3 or not pixels.numel():
        raise InputError(
            f"A picture has the shape (batch, height, width, 3), and this one {tuple(pixels.shape)}.",
            code="picture-shape",
        )
    planes = pixels[..., :3].float().movedim(-1, 1)
    height, width = planes.shape[-2:]
    if (height, width) != (side, side):
        factor = side / min(height, width)
        size = (max(side, int(height * factor)), max(side, int(width * factor)))
        planes = functional.interpolate(
            planes, size=size if crop else (side, side), mode="bicubic", antialias=True
        )
        top, left = ((length - side) // 2 for length in planes.shape[-2:])
        planes = planes[..., top : top + side, left : left + side]
    return (planes * 255).round().clamp(0, 255) / 255


def normalised(planes: Tensor) -> Tensor:
    """Colours with the mean and spread that CLIP was trained with."""
    mean, std = (torch.tensor(numbers).view(1, 3, 1, 1) for numbers in (MEAN, STD))
    return (planes - mean) / std
