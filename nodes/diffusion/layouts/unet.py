"""The UNet of latent diffusion (Rombach et al. 2022): original layout, and configuration from shapes.

Original names count blocks (`input_blocks.4.1`), diffusers names them (`down_blocks.1.attentions.0`); below a
block both use the same names, except in residual blocks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from nodes.diffusion.layouts.rules import Rule, rename

Shapes = Mapping[str, tuple[int, ...]]

ENDS = {
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "time_embedding.cond_proj": "time_embed.cond_proj",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
    "class_embedding.linear_1": "label_emb.0.0",
    "class_embedding.linear_2": "label_emb.0.2",
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}
RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}


def rules(config: Mapping[str, Any], targets: Iterable[str]) -> tuple[Rule, ...]:
    """Rules between a UNet2DConditionModel with `config` and the original layout."""
    return rename(targets, modules(config), {})


def modules(config: Mapping[str, Any]) -> dict[str, str]:
    """The original name of each module, by its name in diffusers."""
    names = dict(ENDS)
    names |= _down(config) | _up(config)
    has_attention = config.get("mid_block_type") != "UNetMidBlock2D"
    names |= _resnet("mid_block.resnets.0", "middle_block.0")
    if has_attention:
        names["mid_block.attentions.0"] = "middle_block.1"
    names |= _resnet("mid_block.resnets.1", "middle_block.2" if has_attention else "middle_block.1")
    return names


def _resnet(target: str, original: str) -> dict[str, str]:
    return {f"{target}.{name}": f"{original}.{other}" for name, other in RESNET.items()}


def _down(config: Mapping[str, Any]) -> dict[str, str]:
    names: dict[str, str] = {}
    types = config["down_block_types"]
    block = 1
    for level, kind in enumerate(types):
        for layer in range(_layers(config, level)):
            names |= _resnet(f"down_blocks.{level}.resnets.{layer}", f"input_blocks.{block}.0")
            if "CrossAttn" in kind:
                names[f"down_blocks.{level}.attentions.{layer}"] = f"input_blocks.{block}.1"
            block += 1
        if level < len(types) - 1:
            names[f"down_blocks.{level}.downsamplers.0.conv"] = f"input_blocks.{block}.0.op"
            block += 1
    return names


def _up(config: Mapping[str, Any]) -> dict[str, str]:
    names: dict[str, str] = {}
    types = config["up_block_types"]
    block = 0
    for level, kind in enumerate(types):
        layers = _layers(config, len(types) - 1 - level) + 1
        for layer in range(layers):
            names |= _resnet(f"up_blocks.{level}.resnets.{layer}", f"output_blocks.{block}.0")
            if "CrossAttn" in kind:
                names[f"up_blocks.{level}.attentions.{layer}"] = f"output_blocks.{block}.1"
            if layer == layers - 1 and level < len(types) - 1:
                place = 2 if "CrossAttn" in kind else 1
                names[f"up_blocks.{level}.upsamplers.0.conv"] = f"output_blocks.{block}.{place}.conv"
            block += 1
    return names


def _layers(config: Mapping[str, Any], level: int) -> int:
    layers = config.get("layers_per_block", 2)
    return int(layers if isinstance(layers, int) else layers[level])


def original_shapes(shapes: Shapes) -> Shapes:
    """Shapes in diffusers' layout under their names in the original one."""
    levels = count(shapes, "down_blocks.{}.resnets.0.conv1.weight")
    outline: dict[str, Any] = {
        "down_block_types": [_block_type(shapes, "down_blocks", level) for level in range(levels)],
        "up_block_types": [_block_type(shapes, "up_blocks", level) for level in range(levels)],
        "layers_per_block": [
            count(shapes, f"down_blocks.{level}.resnets.{{}}.conv1.weight") for level in range(levels)
        ],
    }
    if not any(name.startswith("mid_block.attentions.") for name in shapes):
        outline["mid_block_type"] = "UNetMidBlock2D"
    return {rule.original: shapes[rule.target] for rule in rules(outline, shapes)}


def count(shapes: Shapes, pattern: str) -> int:
    """How many of the names that `pattern` gives for 0, 1, 2 ... are there, until the first that is not."""
    number = 0
    while pattern.format(number) in shapes:
        number += 1
    return number


def _block_type(shapes: Shapes, side: str, level: int) -> str:
    return "CrossAttn" if f"{side}.{level}.attentions.0.norm.weight" in shapes else "Plain"


@dataclass(slots=True)
class _Level:
    """A level's width, and how many transformer blocks stand after each of its residual blocks."""

    width: int = 0
    depths: list[int] = field(default_factory=list)

    @property
    def attends(self) -> bool:
        return any(self.depths)


def config_from(shapes: Shapes) -> dict[str, Any]:
    """The configuration that `shapes` (names without prefix, original layout) have, in diffusers' terms.

    Heads are not visible in shapes: SD 1.x has eight everywhere, later families 64 channels a head. Raises KeyError
    or IndexError where a UNet's tensors are not there.
    """
    levels = _levels(shapes)
    widths = [level.width for level in levels]
    linear = any(name.endswith(".proj_in.weight") and len(shape) == 2 for name, shape in shapes.items())
    middle = _depth(shapes, "middle_block.1.")
    middle_type = "UNetMidBlock2DCrossAttn" if middle else "UNetMidBlock2D"
    config: dict[str, Any] = {
        "in_channels": shapes["input_blocks.0.0.weight"][1],
        "out_channels": shapes["out.2.weight"][0],
        "block_out_channels": widths,
        "layers_per_block": [len(level.depths) for level in levels],
        "down_block_types": ["CrossAttnDownBlock2D" if level.attends else "DownBlock2D" for level in levels],
        "up_block_types": [
            "CrossAttnUpBlock2D" if level.attends else "UpBlock2D" for level in reversed(levels)
        ],
        "mid_block_type": middle_type if any(name.startswith("middle_block.") for name in shapes) else None,
        **_depths(shapes, levels, middle),
        "cross_attention_dim": _context_width(shapes),
        "use_linear_projection": linear,
        "attention_head_dim": [max(width // 64, 1) for width in widths] if linear else 8,
    }
    if "label_emb.0.0.weight" in shapes:
        config["addition_embed_type"] = "text_time"
        config["projection_class_embeddings_input_dim"] = shapes["label_emb.0.0.weight"][1]
        config["addition_time_embed_dim"] = 256
    if "time_embed.cond_proj.weight" in shapes:
        config["time_cond_proj_dim"] = shapes["time_embed.cond_proj.weight"][1]
    return config


def _levels(shapes: Shapes) -> list[_Level]:
    levels = [_Level()]
    block = 1
    while True:
        head = f"input_blocks.{block}."
        convolution = shapes.get(f"{head}0.in_layers.2.weight")
        if f"{head}0.op.weight" in shapes:
            levels.append(_Level())
        elif convolution is not None:
            levels[-1].width = convolution[0]
            levels[-1].depths.append(_depth(shapes, f"{head}1."))
        else:
            return levels
        block += 1


def _depths(shapes: Shapes, levels: list[_Level], middle: int) -> dict[str, Any]:
    """How many transformer blocks there are: one number a level, or where a level has several, one a layer.

    Networks that were made smaller after their training (SSD-1B, Vega) have other numbers on their way up.
    """
    upwards, block = [], 0
    for level in reversed(levels):
        count = len(level.depths) + 1
        upwards.append([_depth(shapes, f"output_blocks.{block + layer}.1.") for layer in range(count)])
        block += count
    has_way_up = "output_blocks.0.0.in_layers.2.weight" in shapes
    pairs = zip(levels, reversed(upwards), strict=True)
    if not has_way_up or all(len({*level.depths, *up}) == 1 for level, up in pairs):
        return {"transformer_layers_per_block": [level.depths[0] or middle or 1 for level in levels]}
    return {
        "transformer_layers_per_block": [level.depths if level.attends else 1 for level in levels],
        "reverse_transformer_layers_per_block": [up if any(up) else 1 for up in upwards],
    }


def _depth(shapes: Shapes, attention: str) -> int:
    return count(shapes, attention + "transformer_blocks.{}.norm1.weight")


def _context_width(shapes: Shapes) -> int:
    return next(shape[1] for name, shape in shapes.items() if name.endswith("attn2.to_k.weight"))
