"""The UNet of Stable Video Diffusion (Blattmann et al. 2023): the image UNet, with layers over time beside each block.

In the original layout the layers over time are `time_stack` below the block that they stand beside, and the weight
between both is `time_mixer`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from nodes.diffusion.layouts import unet
from nodes.diffusion.layouts.rules import Rule, rename
from nodes.diffusion.layouts.unet import Shapes

_RESNET = re.compile(r"(.+\.resnets\.\d+)\.(\w+)\Z")
_TEMPORAL = ("norm1", "conv1", "time_emb_proj", "norm2", "conv2")


def rules(config: Mapping[str, Any], targets: Iterable[str]) -> tuple[Rule, ...]:
    """Rules between a UNetSpatioTemporalConditionModel with `config` and the original layout."""
    return rename(targets, modules(config), {})


def modules(config: Mapping[str, Any]) -> dict[str, str]:
    """The original name of each module, by its name in diffusers."""
    names: dict[str, str] = {}
    for target, original in unet.modules(config).items():
        found = _RESNET.match(target)
        if found is not None:
            block, layer = found.groups()
            head = original.removesuffix(unet.RESNET[layer])
            names[f"{block}.spatial_res_block.{layer}"] = original
            names[f"{block}.time_mixer"] = f"{head}time_mixer"
            if layer in _TEMPORAL:
                names[f"{block}.temporal_res_block.{layer}"] = f"{head}time_stack.{unet.RESNET[layer]}"
            continue
        names[target] = original
        if ".attentions." in target:
            names[f"{target}.temporal_transformer_blocks"] = f"{original}.time_stack"
            names[f"{target}.time_pos_embed.linear_1"] = f"{original}.time_pos_embed.0"
            names[f"{target}.time_pos_embed.linear_2"] = f"{original}.time_pos_embed.2"
    return names


def is_video(shapes: Shapes) -> bool:
    """Whether a UNet in the original layout has layers over time."""
    return "input_blocks.1.0.time_mixer.mix_factor" in shapes


def config_from(shapes: Shapes) -> dict[str, Any]:
    """The configuration that `shapes` (names without prefix, original layout) have, in diffusers' terms."""
    found = unet.config_from(shapes)
    down = ["CrossAttn" in kind for kind in found["down_block_types"]]
    return {
        "in_channels": found["in_channels"],
        "out_channels": found["out_channels"],
        "block_out_channels": found["block_out_channels"],
        "layers_per_block": found["layers_per_block"],
        "down_block_types": [f"{'CrossAttnDown' if cross else 'Down'}BlockSpatioTemporal" for cross in down],
        "up_block_types": [
            f"{'CrossAttnUp' if cross else 'Up'}BlockSpatioTemporal" for cross in reversed(down)
        ],
        "cross_attention_dim": found["cross_attention_dim"],
        "transformer_layers_per_block": found["transformer_layers_per_block"],
        "num_attention_heads": [max(width // 64, 1) for width in found["block_out_channels"]],
        "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": shapes["label_emb.0.0.weight"][1],
    }
