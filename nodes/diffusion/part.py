"""One network inside a model file: where its tensors stand, in which layout, and its configuration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nodes.diffusion.families import PartPlace
from nodes.diffusion.families.family import Layout, PartKind
from nodes.diffusion.layouts import clip, mmdit, t5, unet, vae, video_unet, video_vae
from nodes.diffusion.layouts.unet import Shapes
from nodes.diffusion.model_config import merged
from nodes.diffusion.safetensors_header import Header, TensorInfo

EMA_PREFIX = "model_ema.diffusion_model"
SECTIONS = {
    "clip_l": "text_encoder",
    "clip_h": "text_encoder",
    "clip_g": "text_encoder_2",
    "t5": "text_encoder_3",
    "text": "text_encoder",
}
"""Under which name a part is configured, where that is not its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One network in one or more files: where its tensors are, and its configuration.

    `prefix` stands before each of its names in the file. `ema`: the averaged weights that some files hold
    beside the others, under names without dots.
    """

    name: str
    kind: PartKind
    config: Mapping[str, Any]
    headers: tuple[Header, ...]
    prefix: str = ""
    layout: Layout = "original"
    ema: bool = False

    @property
    def path(self) -> Path:
        """The (first) file."""
        return self.headers[0].path

    def configured(self, *, name: str, config: Mapping[str, Any]) -> Part:
        """The same tensors under another name and configuration."""
        return replace(self, name=name, config=config)

    def names(self) -> Iterator[str]:
        """The names of the tensors that stand under the part's prefix, without it."""
        for header in self.headers:
            for name in header.tensors:
                if name.startswith(self.prefix):
                    yield name[len(self.prefix) :]

    def find(self, name: str) -> tuple[Header, str, TensorInfo] | None:
        """Where the tensor called `name` (without prefix) is: file, full name, and entry in its header."""
        full = EMA_PREFIX + name.replace(".", "") if self.ema else self.prefix + name
        for header in self.headers:
            info = header.tensors.get(full)
            if info is not None:
                return header, full, info
        return None


def part_at(header: Header, place: PartPlace, said: Mapping[str, Any]) -> Part | None:
    """The part that stands at a place in a file, or None; `said` are explicit configurations by section."""
    shapes = {name: info.shape for name, info in header.tensors.items()}
    for prefix in place.prefixes:
        found = configuration(place.kind, place.layout, below(shapes, prefix))
        if found is not None:
            layout, config = found
            section = SECTIONS.get(place.name, place.name)
            return Part(
                name=place.name,
                kind=place.kind,
                config=merged({**config, **place.config}, said.get(section, {})),
                headers=(header,),
                prefix=prefix,
                layout=layout,
            )
    return None


def below(shapes: Shapes, prefix: str) -> Shapes:
    """The shapes of the tensors whose names start with `prefix`, without it."""
    return {name[len(prefix) :]: shape for name, shape in shapes.items() if name.startswith(prefix)}


def network_shapes(shapes: Shapes) -> Shapes | None:
    """The shapes of a diffusion network's tensors under their original names, or None if there is none."""
    for prefix in ("model.diffusion_model.", "diffusion_model.", ""):
        inner = below(shapes, prefix)
        if "input_blocks.0.0.weight" in inner or "x_embedder.proj.weight" in inner:
            return inner
        if _is_diffusers_unet(inner):
            return unet.original_shapes(inner)
    return None


def configuration(kind: PartKind, layout: Layout, shapes: Shapes) -> tuple[Layout, dict[str, Any]] | None:
    """The layout and configuration of a part from the shapes below its prefix; None if its tensors are not there.

    The configuration is empty where the tensors are there in part only, so that loading names what is missing.
    """
    try:
        return _configuration(kind, layout, shapes)
    except (KeyError, IndexError, ValueError, StopIteration):
        return layout, {}


def _configuration(kind: PartKind, layout: Layout, shapes: Shapes) -> tuple[Layout, dict[str, Any]] | None:
    if kind == "unet":
        if "input_blocks.0.0.weight" in shapes:
            return "original", unet.config_from(shapes)
        if _is_diffusers_unet(shapes):
            return "diffusers", unet.config_from(unet.original_shapes(shapes))
    if kind == "video_unet" and "input_blocks.0.0.weight" in shapes:
        return "original", video_unet.config_from(shapes)
    if kind == "video_vae" and video_vae.is_video(shapes):
        return "original", video_vae.config_from(shapes)
    if kind == "mmdit" and "x_embedder.proj.weight" in shapes:
        return "original", mmdit.config_from(shapes)
    if kind == "t5" and "shared.weight" in shapes:
        return layout, t5.config_from(shapes)
    if kind == "vae" and "decoder.conv_in.weight" in shapes:
        if "decoder.mid_block.resnets.0.conv1.weight" in shapes:
            return "diffusers", vae.config_from(vae.original_shapes(shapes))
        return "original", vae.config_from(shapes)
    return _clip_configuration(layout, shapes) if kind == "clip" else None


def _clip_configuration(layout: Layout, shapes: Shapes) -> tuple[Layout, dict[str, Any]] | None:
    if layout == "openclip":
        return (layout, clip.config_from_openclip(shapes)) if "positional_embedding" in shapes else None
    prefix = clip.text_prefix(shapes)
    return None if prefix is None else (layout, clip.config_from_transformers(shapes, prefix))


def _is_diffusers_unet(shapes: Shapes) -> bool:
    return {"conv_in.weight", "conv_out.weight", "down_blocks.0.resnets.0.conv1.weight"} <= shapes.keys()
