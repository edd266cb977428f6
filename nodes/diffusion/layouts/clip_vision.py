"""CLIP image encoders (Radford et al. 2021): the layouts of transformers and of OpenCLIP, configuration from shapes.

The network's names are those of transformers' CLIPVisionModelWithProjection.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from nodes.diffusion.layouts.clip import openclip_rule
from nodes.diffusion.layouts.rules import TRANSPOSED, Rule
from nodes.diffusion.layouts.unet import Shapes, count

ENDS = {
    "vision_model.embeddings.class_embedding": "class_embedding",
    "vision_model.embeddings.patch_embedding.weight": "conv1.weight",
    "vision_model.embeddings.position_embedding.weight": "positional_embedding",
    "vision_model.pre_layrnorm.weight": "ln_pre.weight",
    "vision_model.pre_layrnorm.bias": "ln_pre.bias",
    "vision_model.post_layernorm.weight": "ln_post.weight",
    "vision_model.post_layernorm.bias": "ln_post.bias",
}
LAYERS = "vision_model.encoder.layers."
HEADS = {1024: 16, 1280: 16, 1408: 16, 1664: 16}
"""Heads of the well-known large encoders (L, H, g, G), which are not 64 channels wide; others have 64 a head."""
OPENCLIP_WIDTHS = (1280, 1408, 1664)
"""Widths of encoders that only OpenCLIP has; they use the exact GELU."""


def rules(layout: str, targets: Iterable[str]) -> tuple[Rule, ...]:
    """Rules between an image encoder and a file; OpenCLIP's names are those below `visual.`."""
    if layout != "openclip":
        return tuple(Rule(target, target) for target in targets)
    return tuple(
        Rule(target, "proj", TRANSPOSED)
        if target == "visual_projection.weight"
        else openclip_rule(target, LAYERS, ENDS)
        for target in targets
    )


def config_from(layout: str, shapes: Shapes) -> dict[str, Any]:
    """The configuration that shapes have, in transformers' terms; raises KeyError where no encoder is."""
    if layout == "openclip":
        names = ENDS
        layers = count(shapes, "transformer.resblocks.{}.ln_1.weight")
        hidden = shapes["transformer.resblocks.0.mlp.c_fc.weight"][0]
        projection = shapes["proj"][1]
    else:
        names = {target: target for target in ENDS}
        layers = count(shapes, LAYERS + "{}.layer_norm1.weight")
        hidden = shapes[f"{LAYERS}0.mlp.fc1.weight"][0]
        projection = shapes["visual_projection.weight"][0]
    width, channels, patch, _ = shapes[names["vision_model.embeddings.patch_embedding.weight"]]
    places = shapes[names["vision_model.embeddings.position_embedding.weight"]][0] - 1
    return {
        "hidden_size": width,
        "intermediate_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": HEADS.get(width, max(width // 64, 1)),
        "num_channels": channels,
        "patch_size": patch,
        "image_size": math.isqrt(places) * patch,
        "projection_dim": projection,
        "hidden_act": "gelu" if width in OPENCLIP_WIDTHS else "quick_gelu",
    }


def from_config(config: Mapping[str, Any]) -> Any:
    """The network, on the current device."""
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    known = {name: value for name, value in config.items() if name not in ("architectures", "model_type")}
    return CLIPVisionModelWithProjection(CLIPVisionConfig(**known))
