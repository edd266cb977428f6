"""The autoencoder of Stable Video Diffusion (AutoencoderKLTemporalDecoder): a decoder with layers over time.

Its encoder is that of the image autoencoder. In the original layout a decoder's layers over time are `time_stack` below
their block, with `mix_factor` beside them, and the last one is `conv_out.time_mix_conv`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from nodes.diffusion.layouts import vae
from nodes.diffusion.layouts.rules import Rule
from nodes.diffusion.layouts.unet import RESNET, Shapes

_DECODER_RESNET = re.compile(r"decoder\..+\.resnets\.\d+\Z")
_TEMPORAL = ("norm1", "conv1", "norm2", "conv2")


def rules(config: Mapping[str, Any], targets: Iterable[str]) -> tuple[Rule, ...]:
    """Rules between an AutoencoderKLTemporalDecoder with `config` and the original layout."""
    return vae.renamed(targets, modules(config))


def modules(config: Mapping[str, Any]) -> dict[str, str]:
    """The original name of each module, by its name in diffusers."""
    names: dict[str, str] = {}
    for target, original in vae.modules(config).items():
        if _DECODER_RESNET.match(target):
            names[f"{target}.spatial_res_block"] = original
            names[f"{target}.spatial_res_block.conv_shortcut"] = f"{original}.nin_shortcut"
            names[f"{target}.time_mixer"] = original
            for layer in _TEMPORAL:
                names[f"{target}.temporal_res_block.{layer}"] = f"{original}.time_stack.{RESNET[layer]}"
        elif not target.startswith("decoder.") or ".resnets." not in target:
            names[target] = original
    names["decoder.time_conv_out"] = "decoder.conv_out.time_mix_conv"
    return names


def is_video(shapes: Shapes) -> bool:
    """Whether an autoencoder in the original layout has layers over time."""
    return "decoder.conv_out.time_mix_conv.weight" in shapes


def config_from(shapes: Shapes) -> dict[str, Any]:
    """The configuration that `shapes` (names without prefix, original layout) have, in diffusers' terms."""
    found = vae.config_from(shapes)
    known = ("in_channels", "out_channels", "latent_channels", "block_out_channels", "layers_per_block")
    return {name: found[name] for name in (*known, "down_block_types")}
