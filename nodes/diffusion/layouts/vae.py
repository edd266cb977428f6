"""The autoencoder of latent diffusion (AutoencoderKL): original layout, and configuration from shapes.

In files the decoder's levels are numbered from the output, and attention weights are 1x1 convolutions.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from typing import Any

from nodes.diffusion.layouts.rules import LINEAR, Rule, rename
from nodes.diffusion.layouts.unet import Shapes, count

ATTENTION = {"to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}


def rules(config: Mapping[str, Any], targets: Iterable[str]) -> tuple[Rule, ...]:
    """Rules between an AutoencoderKL with `config` and the original layout."""
    return renamed(targets, modules(config))


def renamed(targets: Iterable[str], names: Mapping[str, str]) -> tuple[Rule, ...]:
    """Rules by the original name of each module; the original's attention is made of convolutions of one pixel."""
    attention = {
        original: LINEAR
        for target, original in names.items()
        if ".to_" in target and ".attentions." in target
    }
    return rename(targets, names, attention)


def modules(config: Mapping[str, Any]) -> dict[str, str]:
    """The original name of each module, by its name in diffusers."""
    names: dict[str, str] = {}
    levels = len(config["block_out_channels"])
    layers = int(config.get("layers_per_block", 1))
    for side in ("encoder", "decoder"):
        names[f"{side}.conv_norm_out"] = f"{side}.norm_out"
        names[f"{side}.mid_block.attentions.0.group_norm"] = f"{side}.mid.attn_1.norm"
        for target, original in ATTENTION.items():
            names[f"{side}.mid_block.attentions.0.{target}"] = f"{side}.mid.attn_1.{original}"
        for index in (0, 1):
            names[f"{side}.mid_block.resnets.{index}"] = f"{side}.mid.block_{index + 1}"
    for level in range(levels):
        names[f"encoder.down_blocks.{level}.downsamplers.0.conv"] = f"encoder.down.{level}.downsample.conv"
        other = levels - 1 - level
        names[f"decoder.up_blocks.{level}.upsamplers.0.conv"] = f"decoder.up.{other}.upsample.conv"
        for layer in range(layers + 1):
            names |= _resnet(
                f"encoder.down_blocks.{level}.resnets.{layer}", f"encoder.down.{level}.block.{layer}"
            )
            names |= _resnet(
                f"decoder.up_blocks.{level}.resnets.{layer}", f"decoder.up.{other}.block.{layer}"
            )
    return names


def _resnet(target: str, original: str) -> dict[str, str]:
    return {target: original, f"{target}.conv_shortcut": f"{original}.nin_shortcut"}


OLD_ATTENTION = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
"""Names that diffusers gave the attention before 2023; many files still have them."""


def diffusers_rules(targets: Iterable[str], names: Container[str]) -> tuple[Rule, ...]:
    """Rules for a file in diffusers' layout, old or new."""
    return tuple(_diffusers_rule(target, names) for target in targets)


def _diffusers_rule(target: str, names: Container[str]) -> Rule:
    for new, old in OLD_ATTENTION.items():
        former = target.replace(f"attentions.0.{new}.", f"attentions.0.{old}.")
        if former != target and target not in names and former in names:
            return Rule(target, former, LINEAR)
    return Rule(target, target)


def original_shapes(shapes: Shapes) -> Shapes:
    """Shapes in diffusers' layout under their names in the original one."""
    levels = count(shapes, "encoder.down_blocks.{}.resnets.0.conv1.weight")
    layers = count(shapes, "encoder.down_blocks.0.resnets.{}.conv1.weight")
    outline = {"block_out_channels": [0] * levels, "layers_per_block": layers}
    found = {}
    for name, shape in shapes.items():
        for new, old in OLD_ATTENTION.items():
            name = name.replace(f"attentions.0.{old}.", f"attentions.0.{new}.")
        found[name] = shape
    return {rule.original: found[rule.target] for rule in rules(outline, found)}


def config_from(shapes: Shapes) -> dict[str, Any]:
    """The configuration that `shapes` (names without prefix, original layout) have, in diffusers' terms."""
    levels = count(shapes, "encoder.down.{}.block.0.conv2.weight")
    layers = count(shapes, "encoder.down.0.block.{}.conv1.weight")
    widths = [shapes[f"encoder.down.{level}.block.0.conv2.weight"][0] for level in range(levels)]
    return {
        "in_channels": shapes["encoder.conv_in.weight"][1],
        "out_channels": shapes["decoder.conv_out.weight"][0],
        "latent_channels": shapes["decoder.conv_in.weight"][1],
        "block_out_channels": widths,
        "layers_per_block": layers,
        "down_block_types": ["DownEncoderBlock2D"] * len(widths),
        "up_block_types": ["UpDecoderBlock2D"] * len(widths),
        "mid_block_add_attention": "encoder.mid.attn_1.q.weight" in shapes,
        "use_quant_conv": "quant_conv.weight" in shapes,
        "use_post_quant_conv": "post_quant_conv.weight" in shapes,
    }
