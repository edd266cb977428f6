"""Writes the small models that belong to the checkpoint, each as fp16 safetensors in its field's usual layout."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diffusers import ControlNetModel, UNet2DConditionModel
from safetensors.torch import save_file
from torch import Tensor
from transformers import CLIPVisionModelWithProjection

from tools.embedded.embedding_stage import Placeholder
from tools.embedded.export import plain_config
from tools.embedded.layout import ldm_control, ldm_unet
from tools.embedded.models import NOISE_SCHEDULE
from tools.embedded.upscaler_stage import Compact


@dataclass(frozen=True, slots=True, kw_only=True)
class Title:
    """What a file's header says of it besides the configuration."""

    title: str
    description: str
    date: str
    training: Mapping[str, Any]


def export_upscaler(model: Compact, path: Path, title: Title) -> int:
    """Write the network with Real-ESRGAN's names; returns the size in bytes."""
    return _write(model.state_dict(), path, title)


def export_vision(tower: CLIPVisionModelWithProjection, path: Path, title: Title) -> int:
    """Write the tower with transformers' names; returns the size in bytes."""
    names = ("hidden_act", "num_attention_heads", "patch_size", "image_size", "layer_norm_eps")
    config = {name: getattr(tower.config, name) for name in names}
    return _write(tower.state_dict(), path, title, config=config)


def export_control(control: ControlNetModel, path: Path, title: Title) -> int:
    """Write the ControlNet with its authors' names; returns the size in bytes."""
    layers = int(control.config["layers_per_block"])
    names = ("attention_head_dim", "norm_num_groups", "cross_attention_dim")
    config = {name: control.config[name] for name in names}
    return _write(ldm_control(control.state_dict(), layers=layers), path, title, config=config)


def export_inpainting(unet: UNet2DConditionModel, path: Path, title: Title, *, scale: float) -> int:
    """Write the UNet of nine channels under its LDM names, for latents times `scale`; returns the size in bytes."""
    layers = int(unet.config["layers_per_block"])
    config = {
        "unet": plain_config(dict(unet.config)),
        "scheduler": NOISE_SCHEDULE,
        "vae": {"scaling_factor": scale},
    }
    return _write(ldm_unet(unet.state_dict(), layers=layers), path, title, config=config)


def export_embedding(placeholder: Placeholder, path: Path, title: Title) -> int:
    """Write the vectors as A1111's `emb_params`; returns the size in bytes."""
    return _write({"emb_params": placeholder.vectors}, path, title)


def _write(
    state: Mapping[str, Tensor], path: Path, title: Title, *, config: Mapping[str, Any] | None = None
) -> int:
    metadata = {
        "format": "pt",
        "modelspec.title": title.title,
        "modelspec.description": title.description,
        "modelspec.license": "CC0-1.0",
        "modelspec.date": title.date,
        "graphcore.training": json.dumps(dict(title.training)),
    }
    if config:
        metadata["graphcore.config"] = json.dumps(dict(config))
    halves = {
        name: value.detach().half().contiguous() if value.is_floating_point() else value.contiguous()
        for name, value in state.items()
        if not name.endswith("position_ids")
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".part")
    save_file(halves, draft, metadata=metadata)
    draft.replace(path)
    return path.stat().st_size
