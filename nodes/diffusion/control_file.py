"""ControlNets, T2I-Adapters and ControlNet-LLLites opened: what they are and for which networks, from their headers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graphcore.errors import ModelFileError
from nodes.diffusion import control_lora
from nodes.diffusion.families.family import Layout, PartKind
from nodes.diffusion.folder import part_folder
from nodes.diffusion.layouts import controlnet, lllite, t2i_adapter
from nodes.diffusion.layouts.rules import NOT_THERE
from nodes.diffusion.layouts.unet import Shapes
from nodes.diffusion.model_config import explicit_config, merged, own_section
from nodes.diffusion.part import Part, below
from nodes.diffusion.safetensors_header import Header, read_header

CLASSES: Mapping[str, PartKind] = {
    "ControlNetModel": "controlnet",
    "ControlNetUnionModel": "controlnet_union",
    "SD3ControlNetModel": "sd3_controlnet",
    "T2IAdapter": "t2i_adapter",
}
SECTION = "controlnet"
"""Under which name a file's own words configure it."""
WIDTHS = (320, 640, 1280, 1280)
"""Those of Stable Diffusion's levels, where a folder's configuration is silent."""
SHUFFLE = "shuffle"
"""ControlNets that read a picture's style average over its area; only their names tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlFile:
    """An opened ControlNet or T2I-Adapter: its part, and whether it holds differences to a model's weights.

    `is_lora`: they are low-rank ones, to whichever model it is used with.
    """

    part: Part
    is_difference: bool = False
    is_lora: bool = False

    @property
    def config(self) -> Mapping[str, Any]:
        """Its configuration in diffusers' terms."""
        return self.part.config

    @property
    def context_width(self) -> int | None:
        """How wide the text is that it reads along; None if it reads none."""
        if self.part.kind == "sd3_controlnet":
            width = self.config.get("joint_attention_dim")
        elif self.part.kind in ("t2i_adapter", "lllite"):
            return None
        else:
            width = self.config.get("cross_attention_dim", 1280)
        return int(width) if isinstance(width, int) else None

    @property
    def widths(self) -> tuple[int, ...]:
        """How wide what it adds is, level by level (one number for SD 3; skip by skip for a Control-LoRA)."""
        if self.part.kind == "sd3_controlnet":
            heads = self.config.get("num_attention_heads", 18)
            return (int(heads) * int(self.config.get("attention_head_dim", 64)),)
        if self.part.kind == "lllite":
            return ()
        if self.is_lora:
            return tuple(int(width) for width in self.config["skips"])
        if self.part.kind == "t2i_adapter":
            widths = [int(width) for width in self.config.get("channels", WIDTHS)]
            return tuple(widths + widths[-1:] if self.adapter_type == "light_adapter" else widths)
        return tuple(int(width) for width in self.config.get("block_out_channels", WIDTHS))

    @property
    def adapter_type(self) -> str:
        """What kind of T2I-Adapter it is: full_adapter, full_adapter_xl or light_adapter."""
        return str(self.config.get("adapter_type", "full_adapter"))


def open_control(path: Path) -> ControlFile:
    """Open a ControlNet or T2I-Adapter: a `.safetensors` file, or a folder in diffusers' layout.

    Raises ModelFileError for pickles, damaged files, and files that are neither.
    """
    if path.is_dir():
        return ControlFile(part=part_folder(path, CLASSES, "ControlNet or T2I-Adapter"))
    header = read_header(path)
    shapes = {name: info.shape for name, info in header.tensors.items()}
    found = _found(shapes)
    if found is None:
        raise _unknown(header, shapes)
    kind, prefix, layout, config = found
    if SHUFFLE in path.stem.lower() and kind == "controlnet":
        config["global_pool_conditions"] = True
    part = Part(
        name=SECTION,
        kind=kind,
        config=merged(config, own_section(explicit_config(header), SECTION)),
        headers=(header,),
        prefix=prefix,
        layout=layout,
    )
    return ControlFile(part=part, is_difference="difference" in shapes, is_lora=control_lora.MARKER in shapes)


def _found(shapes: Shapes) -> tuple[PartKind, str, Layout, dict[str, Any]] | None:
    try:
        return _recognised(shapes)
    except NOT_THERE:
        return None


def _recognised(shapes: Shapes) -> tuple[PartKind, str, Layout, dict[str, Any]] | None:
    if any(name.startswith(lllite.PREFIX) for name in shapes):
        return "lllite", "", "original", lllite.config_from(shapes)
    if control_lora.MARKER in shapes:
        return "controlnet", "", "original", control_lora.config_from(shapes)
    if controlnet.FIRST in shapes:
        config = controlnet.config_from_diffusers(shapes)
        if "task_embedding" in shapes:
            return "controlnet_union", "", "diffusers", config | controlnet.union_config(shapes)
        return "controlnet", "", "diffusers", config
    for prefix in ("control_model.", ""):
        inner = below(shapes, prefix)
        if "input_hint_block.0.weight" in inner and "zero_convs.0.0.weight" in inner:
            return "controlnet", prefix, "original", controlnet.config_from_original(inner)
    if {"controlnet_blocks.0.weight", "pos_embed_input.proj.weight"} <= shapes.keys():
        fused = "transformer_blocks.0.attn.qkv.weight" in shapes
        return "sd3_controlnet", "", "original" if fused else "diffusers", controlnet.sd3_config(shapes)
    for prefix in ("adapter.", ""):
        inner = below(shapes, prefix)
        if t2i_adapter.is_adapter(inner):
            layout: Layout = "diffusers" if prefix else "original"
            return "t2i_adapter", "", layout, t2i_adapter.config_from(inner)
    return None


def _unknown(header: Header, shapes: Shapes) -> ModelFileError:
    name = header.path.name
    if any(key.startswith("lllite_") for key in shapes):
        what = "is a ControlNet-LLLite whose layers are not those of a UNet; get the file again"
    else:
        what = "is neither a ControlNet nor a T2I-Adapter for Stable Diffusion; choose another file"
    return ModelFileError(f"{name} {what}.", code="model-file-family", location=str(header.path))
