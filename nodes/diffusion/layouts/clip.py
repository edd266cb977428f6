"""CLIP text encoders (Radford et al. 2021): the layouts of transformers and of OpenCLIP, configuration from shapes.

The network's names are those of transformers with the prefix `text_model.`, and `text_projection.weight`.
OpenCLIP keeps query, key and value in one matrix and multiplies by the projection from the other side.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from nodes.diffusion.layouts.rules import TRANSPOSED, Form, Rule
from nodes.diffusion.layouts.unet import Shapes, count

ENDS = {
    "text_model.embeddings.token_embedding.weight": "token_embedding.weight",
    "text_model.embeddings.position_embedding.weight": "positional_embedding",
    "text_model.final_layer_norm.weight": "ln_final.weight",
    "text_model.final_layer_norm.bias": "ln_final.bias",
}
LAYER = {
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
    "self_attn.out_proj": "attn.out_proj",
}
FUSED = ("q_proj", "k_proj", "v_proj")
LAYERS = "text_model.encoder.layers."


def transformers_rules(targets: Iterable[str], prefix: str) -> tuple[Rule, ...]:
    """Rules for a file in transformers' layout whose text model stands under `prefix` ("text_model." or "")."""
    return tuple(Rule(target, target.replace("text_model.", prefix, 1)) for target in targets)


def openclip_rules(targets: Iterable[str]) -> tuple[Rule, ...]:
    """Rules between a text encoder and OpenCLIP's layout."""
    return tuple(
        Rule(target, "text_projection", TRANSPOSED)
        if target == "text_projection.weight"
        else openclip_rule(target, LAYERS, ENDS)
        for target in targets
    )


def openclip_rule(target: str, layers: str, ends: Mapping[str, str]) -> Rule:
    """The rule of one tensor of a tower whose layers stand below `layers`; `ends` names what is outside of them."""
    if not target.startswith(layers):
        return Rule(target, ends.get(target, target))
    index, _, inner = target.removeprefix(layers).partition(".")
    name, _, parameter = inner.rpartition(".")
    head = f"transformer.resblocks.{index}."
    attention = name.removeprefix("self_attn.")
    if attention in FUSED:
        return Rule(target, f"{head}attn.in_proj_{parameter}", Form("rows", FUSED.index(attention), 3))
    return Rule(target, f"{head}{LAYER.get(name, name)}.{parameter}")


def config_from_transformers(shapes: Shapes, prefix: str) -> dict[str, Any]:
    """The configuration of a text encoder in transformers' layout, from its shapes; heads have 64 channels."""
    return _config(
        shapes,
        tokens=f"{prefix}embeddings.token_embedding.weight",
        positions=f"{prefix}embeddings.position_embedding.weight",
        first_norm=prefix + "encoder.layers.{}.layer_norm1.weight",
        hidden=f"{prefix}encoder.layers.0.mlp.fc1.weight",
        projection=shapes.get("text_projection.weight", (None,))[0],
    )


def config_from_openclip(shapes: Shapes) -> dict[str, Any]:
    """The configuration of a text encoder in OpenCLIP's layout, from its shapes; heads have 64 channels."""
    return _config(
        shapes,
        tokens="token_embedding.weight",
        positions="positional_embedding",
        first_norm="transformer.resblocks.{}.ln_1.weight",
        hidden="transformer.resblocks.0.mlp.c_fc.weight",
        projection=shapes["text_projection"][1] if "text_projection" in shapes else None,
    )


def _config(
    shapes: Shapes, *, tokens: str, positions: str, first_norm: str, hidden: str, projection: int | None
) -> dict[str, Any]:
    vocabulary, width = shapes[tokens]
    config: dict[str, Any] = {
        "vocab_size": vocabulary,
        "hidden_size": width,
        "max_position_embeddings": shapes[positions][0],
        "num_hidden_layers": count(shapes, first_norm),
        "num_attention_heads": max(width // 64, 1),
        "intermediate_size": shapes[hidden][0],
        "eos_token_id": vocabulary - 1,
        "bos_token_id": vocabulary - 2,
        "pad_token_id": vocabulary - 1,
    }
    if projection is not None:
        config["projection_dim"] = projection
    return config


def text_prefix(shapes: Shapes) -> str | None:
    """What stands before transformers' names: "text_model.", or nothing since version 5; None if neither."""
    for prefix in ("text_model.", ""):
        if f"{prefix}embeddings.token_embedding.weight" in shapes:
            return prefix
    return None
