"""Tiny video models in real file layouts, made of diffusers' and transformers' own classes with random weights."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import diffusers
import torch
from torch import Tensor
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from nodes.diffusion.layouts import clip_vision, video_unet, video_vae
from nodes.diffusion.layouts.rules import to_original
from tests.models import prefixed, seeded, write

WIDTH = 64
UNET: dict[str, Any] = {
    "in_channels": 8,
    "out_channels": 4,
    "down_block_types": ["CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"],
    "up_block_types": ["UpBlockSpatioTemporal", "CrossAttnUpBlockSpatioTemporal"],
    "block_out_channels": [64, 128],
    "layers_per_block": 2,
    "cross_attention_dim": WIDTH,
    "transformer_layers_per_block": 1,
    "num_attention_heads": [1, 2],
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 768,
}
VAE: dict[str, Any] = {
    "block_out_channels": [32, 32, 32, 32],
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "layers_per_block": 2,
    "latent_channels": 4,
}
VISION: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 1,
    "image_size": 28,
    "patch_size": 14,
    "projection_dim": WIDTH,
    "hidden_act": "quick_gelu",
}


@dataclass(frozen=True, slots=True, eq=False)
class VideoParts:
    """The modules of a tiny Stable Video Diffusion."""

    unet: Any
    vae: Any
    vision: Any


@cache
def svd_parts() -> VideoParts:
    """Stable Video Diffusion with two levels; mixing weights differ from layer to layer."""
    parts = VideoParts(
        seeded(lambda: diffusers.UNetSpatioTemporalConditionModel(**UNET)),
        seeded(lambda: diffusers.AutoencoderKLTemporalDecoder(**VAE), 1),
        seeded(lambda: CLIPVisionModelWithProjection(CLIPVisionConfig(**VISION)), 2),
    )
    stream = torch.Generator().manual_seed(4)
    for module in (parts.unet, parts.vae):
        for name, parameter in module.named_parameters():
            if name.endswith("mix_factor"):
                parameter.copy_(torch.randn(1, generator=stream))
    return parts


def vision_state(module: Any) -> dict[str, Tensor]:
    """A CLIP image encoder in OpenCLIP's layout, below `visual.`."""
    state = module.state_dict()
    return to_original(state, clip_vision.rules("openclip", state))


def svd_state() -> dict[str, Tensor]:
    """A whole Stable Video Diffusion checkpoint in the original layout."""
    parts = svd_parts()
    network, autoencoder = parts.unet.state_dict(), parts.vae.state_dict()
    return (
        prefixed("model.diffusion_model.", to_original(network, video_unet.rules(UNET, network)))
        | prefixed("first_stage_model.", to_original(autoencoder, video_vae.rules(VAE, autoencoder)))
        | prefixed("conditioner.embedders.0.open_clip.model.visual.", vision_state(parts.vision))
    )


def write_svd(folder: Path) -> Path:
    """A Stable Video Diffusion checkpoint in the folder `checkpoints`."""
    return write(folder / "checkpoints" / "svd.safetensors", svd_state())
