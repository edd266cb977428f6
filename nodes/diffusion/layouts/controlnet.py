"""ControlNets (Zhang et al. 2023): the layouts of ldm, diffusers and Stability AI, configuration from shapes.

One for a UNet is that UNet's downward half with a small encoder for pictures before it and a convolution behind each
block; one for SD 3 is a part of its transformer with a layer behind each block.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from nodes.diffusion.layouts import unet
from nodes.diffusion.layouts.rules import Form, Rule, rename
from nodes.diffusion.layouts.unet import Shapes, count

MID = {"controlnet_mid_block": "middle_block_out.0"}
FIRST = "controlnet_cond_embedding.conv_in.weight"
STABILITY = {
    "norm1.linear": "adaLN_modulation.1",
    "attn.to_out.0": "attn.proj",
    "ff.net.0.proj": "mlp.fc1",
    "ff.net.2": "mlp.fc2",
}
FUSED = ("attn.to_q", "attn.to_k", "attn.to_v")


def rules(config: Mapping[str, Any], targets: Iterable[str]) -> tuple[Rule, ...]:
    """Rules between a ControlNetModel with `config` and ldm's layout (names below `control_model.`)."""
    names = unet.modules({**config, "up_block_types": []}) | MID
    stages = len(config["conditioning_embedding_out_channels"])
    names |= _picture_encoder(stages)
    known = list(targets)
    for target in known:
        head, _, rest = target.partition(".")
        if head == "controlnet_down_blocks":
            place = rest.partition(".")[0]
            names[f"{head}.{place}"] = f"zero_convs.{place}.0"
    return rename(known, names, {})


def _picture_encoder(stages: int) -> dict[str, str]:
    """The convolutions of the picture's encoder; ldm counts the activations between them too."""
    blocks = 2 * (stages - 1)
    names = {
        "controlnet_cond_embedding.conv_in": "input_hint_block.0",
        "controlnet_cond_embedding.conv_out": f"input_hint_block.{2 * (blocks + 1)}",
    }
    for block in range(blocks):
        names[f"controlnet_cond_embedding.blocks.{block}"] = f"input_hint_block.{2 * (block + 1)}"
    return names


def config_from_original(shapes: Shapes) -> dict[str, Any]:
    """The configuration of a ControlNet in ldm's layout, from its shapes (names without prefix)."""
    return _config(shapes, original_encoder(shapes))


def original_encoder(shapes: Shapes) -> list[tuple[int, ...]]:
    """The shapes of the convolutions that read the picture, in order, in ldm's layout."""
    places = sorted(
        int(name.split(".")[1])
        for name in shapes
        if name.startswith("input_hint_block.") and name.endswith(".weight")
    )
    return [shapes[f"input_hint_block.{place}.weight"] for place in places]


def picture_config(encoder: list[tuple[int, ...]]) -> dict[str, Any]:
    """The configuration of what reads the picture, of the shapes of all its convolutions."""
    return {
        "conditioning_channels": encoder[0][1],
        "conditioning_embedding_out_channels": [shape[0] for shape in encoder[:-1:2]],
    }


def config_from_diffusers(shapes: Shapes) -> dict[str, Any]:
    """The configuration of a ControlNet in diffusers' layout, from its shapes."""
    blocks = count(shapes, "controlnet_cond_embedding.blocks.{}.weight")
    encoder = [shapes[FIRST]]
    encoder += [shapes[f"controlnet_cond_embedding.blocks.{block}.weight"] for block in range(blocks)]
    encoder.append(shapes["controlnet_cond_embedding.conv_out.weight"])
    return _config(unet.original_shapes(shapes), encoder)


def _config(shapes: Shapes, encoder: list[tuple[int, ...]]) -> dict[str, Any]:
    """`encoder` has the shapes of all convolutions of the picture's encoder, in order."""
    width = shapes["input_blocks.0.0.weight"][0]
    config = unet.config_from({**shapes, "out.2.weight": (4, width, 3, 3)})
    for name in ("out_channels", "up_block_types"):
        del config[name]
    layers = config["layers_per_block"]
    return {**config, "layers_per_block": layers[0], **picture_config(encoder)}


def union_config(shapes: Shapes) -> dict[str, Any]:
    """What a union ControlNet has beside `config_from_diffusers`; heads are always eight."""
    kinds, width = shapes["task_embedding"]
    return {
        "num_control_type": kinds,
        "num_trans_channel": width,
        "num_trans_head": 8,
        "num_trans_layer": count(shapes, "transformer_layes.{}.ln_1.weight"),
        "num_proj_channel": shapes["spatial_ch_projs.weight"][0],
        "addition_time_embed_dim": shapes["control_add_embedding.linear_1.weight"][1] // kinds,
    }


def sd3_config(shapes: Shapes) -> dict[str, Any]:
    """The configuration of a ControlNet for SD 3, from its shapes; heads have 64 channels.

    Those with places of their own (InstantX, AliMama) get no pooled text; those of Stability AI share the model's
    places, and read no text tokens.
    """
    width, channels, patch, _ = shapes["pos_embed_input.proj.weight"]
    own_places = "pos_embed.proj.weight" in shapes
    latent = shapes["pos_embed.proj.weight"][1] if own_places else channels
    layers = count(shapes, "controlnet_blocks.{}.weight")
    context = shapes.get("context_embedder.weight")
    config: dict[str, Any] = {
        "patch_size": patch,
        "in_channels": latent,
        "out_channels": latent,
        "extra_conditioning_channels": channels - latent,
        "num_layers": layers,
        "attention_head_dim": 64,
        "num_attention_heads": width // 64,
        "joint_attention_dim": context[1] if context else None,
        "caption_projection_dim": context[0] if context else width,
        "pooled_projection_dim": shapes["time_text_embed.text_embedder.linear_1.weight"][1],
        "use_pos_embed": own_places,
        "force_zeros_for_pooled_projection": own_places,
        "dual_attention_layers": [
            layer for layer in range(layers) if f"transformer_blocks.{layer}.attn2.to_q.weight" in shapes
        ],
    }
    if own_places:
        config["pos_embed_max_size"] = math.isqrt(shapes["pos_embed.pos_embed"][1])
    if "transformer_blocks.0.attn.norm_q.weight" in shapes:
        config["qk_norm"] = "rms_norm"
    return config


def stability_rules(config: Mapping[str, Any], targets: Iterable[str]) -> tuple[Rule, ...]:
    """Rules between an SD3ControlNetModel and the files of Stability AI for SD 3.5."""
    del config
    return tuple(_stability_rule(target) for target in targets)


def _stability_rule(target: str) -> Rule:
    module, _, parameter = target.rpartition(".")
    if not module.startswith("transformer_blocks."):
        return Rule(target, target)
    _, index, inner = module.split(".", 2)
    head = f"transformer_blocks.{index}."
    if inner in FUSED:
        return Rule(target, f"{head}attn.qkv.{parameter}", Form("rows", FUSED.index(inner), 3))
    return Rule(target, f"{head}{STABILITY.get(inner, inner)}.{parameter}")
