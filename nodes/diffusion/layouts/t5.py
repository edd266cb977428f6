"""T5 encoders (Raffel et al. 2020) in transformers' layout: configuration from shapes."""

from __future__ import annotations

from typing import Any

from nodes.diffusion.layouts.unet import Shapes, count


def config_from(shapes: Shapes) -> dict[str, Any]:
    """The configuration of a T5 encoder, from its shapes."""
    vocabulary, width = shapes["shared.weight"]
    first = "encoder.block.0.layer.0.SelfAttention."
    heads = shapes[f"{first}relative_attention_bias.weight"][1]
    gated = "encoder.block.0.layer.1.DenseReluDense.wi_0.weight" in shapes
    inner = "wi_0" if gated else "wi"
    return {
        "vocab_size": vocabulary,
        "d_model": width,
        "num_layers": count(shapes, "encoder.block.{}.layer.0.SelfAttention.q.weight"),
        "num_heads": heads,
        "d_kv": shapes[f"{first}q.weight"][0] // heads,
        "d_ff": shapes[f"encoder.block.0.layer.1.DenseReluDense.{inner}.weight"][0],
        "feed_forward_proj": "gated-gelu" if gated else "relu",
    }
