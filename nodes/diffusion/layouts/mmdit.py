"""The transformer of Stable Diffusion 3 (Esser et al. 2024, MM-DiT): original layout, configuration from shapes.

Files keep query, key and value in one matrix. Where only scale and shift are learned (the last block of the text
stream, and the final layer) they stand in the other order than in diffusers.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from nodes.diffusion.layouts.rules import SWAPPED, Form, Rule
from nodes.diffusion.layouts.unet import Shapes, count

ENDS = {
    "pos_embed.pos_embed": "pos_embed",
    "pos_embed.proj": "x_embedder.proj",
    "time_text_embed.timestep_embedder.linear_1": "t_embedder.mlp.0",
    "time_text_embed.timestep_embedder.linear_2": "t_embedder.mlp.2",
    "time_text_embed.text_embedder.linear_1": "y_embedder.mlp.0",
    "time_text_embed.text_embedder.linear_2": "y_embedder.mlp.2",
    "context_embedder": "context_embedder",
    "norm_out.linear": "final_layer.adaLN_modulation.1",
    "proj_out": "final_layer.linear",
}
BLOCK = {
    "norm1.linear": "x_block.adaLN_modulation.1",
    "norm1_context.linear": "context_block.adaLN_modulation.1",
    "attn.to_out.0": "x_block.attn.proj",
    "attn.to_add_out": "context_block.attn.proj",
    "attn.norm_q": "x_block.attn.ln_q",
    "attn.norm_k": "x_block.attn.ln_k",
    "attn.norm_added_q": "context_block.attn.ln_q",
    "attn.norm_added_k": "context_block.attn.ln_k",
    "attn2.to_out.0": "x_block.attn2.proj",
    "attn2.norm_q": "x_block.attn2.ln_q",
    "attn2.norm_k": "x_block.attn2.ln_k",
    "ff.net.0.proj": "x_block.mlp.fc1",
    "ff.net.2": "x_block.mlp.fc2",
    "ff_context.net.0.proj": "context_block.mlp.fc1",
    "ff_context.net.2": "context_block.mlp.fc2",
}
FUSED = {
    "attn.to_q": ("x_block.attn.qkv", 0),
    "attn.to_k": ("x_block.attn.qkv", 1),
    "attn.to_v": ("x_block.attn.qkv", 2),
    "attn.add_q_proj": ("context_block.attn.qkv", 0),
    "attn.add_k_proj": ("context_block.attn.qkv", 1),
    "attn.add_v_proj": ("context_block.attn.qkv", 2),
    "attn2.to_q": ("x_block.attn2.qkv", 0),
    "attn2.to_k": ("x_block.attn2.qkv", 1),
    "attn2.to_v": ("x_block.attn2.qkv", 2),
}


def rules(config: Mapping[str, Any], targets: Iterable[str]) -> tuple[Rule, ...]:
    """Rules between an SD3Transformer2DModel with `config` and the original layout."""
    last = int(config["num_layers"]) - 1
    return tuple(_rule(target, last) for target in targets)


def _rule(target: str, last: int) -> Rule:
    if target in ENDS:
        return Rule(target, ENDS[target])
    module, _, parameter = target.rpartition(".")
    if not module.startswith("transformer_blocks."):
        form = SWAPPED if module == "norm_out.linear" else Form()
        return Rule(target, f"{ENDS.get(module, module)}.{parameter}", form)
    _, index, inner = module.split(".", 2)
    head = f"joint_blocks.{index}."
    if inner in FUSED:
        original, part = FUSED[inner]
        return Rule(target, f"{head}{original}.{parameter}", Form("rows", part, 3))
    swapped = inner == "norm1_context.linear" and int(index) == last
    return Rule(target, f"{head}{BLOCK.get(inner, inner)}.{parameter}", SWAPPED if swapped else Form())


def config_from(shapes: Shapes) -> dict[str, Any]:
    """The configuration that `shapes` (names without prefix, original layout) have; heads have 64 channels."""
    width, channels, patch, _ = shapes["x_embedder.proj.weight"]
    layers = count(shapes, "joint_blocks.{}.x_block.attn.qkv.weight")
    dual = [layer for layer in range(layers) if f"joint_blocks.{layer}.x_block.attn2.qkv.weight" in shapes]
    config: dict[str, Any] = {
        "patch_size": patch,
        "in_channels": channels,
        "out_channels": shapes["final_layer.linear.weight"][0] // patch**2,
        "num_layers": layers,
        "attention_head_dim": 64,
        "num_attention_heads": width // 64,
        "joint_attention_dim": shapes["context_embedder.weight"][1],
        "caption_projection_dim": shapes["context_embedder.weight"][0],
        "pooled_projection_dim": shapes["y_embedder.mlp.0.weight"][1],
        "pos_embed_max_size": math.isqrt(shapes["pos_embed"][1]),
        "dual_attention_layers": dual,
    }
    if "joint_blocks.0.x_block.attn.ln_q.weight" in shapes:
        config["qk_norm"] = "rms_norm"
    return config
