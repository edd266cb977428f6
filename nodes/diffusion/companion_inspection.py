"""What the files of companions are, told from their headers: ControlNets, image encoders, IP-Adapters ..."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from nodes.diffusion.clip_vision import open_vision
from nodes.diffusion.control_file import open_control
from nodes.diffusion.gligen import open_gligen
from nodes.diffusion.hint_fit import made_for, made_for_width
from nodes.diffusion.ip_adapter import open_ip_adapter
from nodes.diffusion.style_model import open_style_model
from nodes.diffusion.upscalers import open_upscaler

_CONTROLS: Final = {
    "controlnet": "ControlNet",
    "controlnet_union": "union ControlNet",
    "sd3_controlnet": "ControlNet",
    "t2i_adapter": "T2I-Adapter",
    "lllite": "ControlNet-LLLite",
}


def _control(path: Path) -> Mapping[str, str]:
    control = open_control(path)
    kind = "Control-LoRA" if control.is_lora else _CONTROLS[control.part.kind]
    found = {"kind": kind, "made for": made_for(control)}
    kinds = control.config.get("num_control_type")
    return {**found, "kinds of maps": str(kinds)} if kinds else found


def _vision(path: Path) -> Mapping[str, str]:
    config = open_vision(path).config
    return {
        "kind": "CLIP image encoder",
        "sees": f"{config['image_size']} pixels a side",
        "width": f"{config['hidden_size']}, {config['projection_dim']} projected",
    }


def _ip_adapter(path: Path) -> Mapping[str, str]:
    config = open_ip_adapter(path).config
    return {"kind": f"IP-Adapter ({config['kind']})", "made for": made_for_width(config["widths"][0][1])}


def _gligen(path: Path) -> Mapping[str, str]:
    return {"kind": "GLIGEN text boxes", "made for": made_for_width(open_gligen(path).config["out_dim"])}


def _style(path: Path) -> Mapping[str, str]:
    return {"kind": "style model", "made for": made_for_width(open_style_model(path).config["context"])}


def _upscaler(path: Path) -> Mapping[str, str]:
    opened = open_upscaler(path)
    makes = "mends pictures" if opened.scale == 1 else f"{opened.scale} times as many pixels a side"
    return {"kind": f"{opened.title} upscaler", "makes": makes}


COMPANIONS: Final[Mapping[str, Callable[[Path], Mapping[str, str]]]] = {
    "controlnet": _control,
    "clip_vision": _vision,
    "ipadapter": _ip_adapter,
    "gligen": _gligen,
    "style_models": _style,
    "upscale_models": _upscaler,
}
"""By kind of folder, what tells of a file in it; raises ModelFileError for files that do not belong there."""
