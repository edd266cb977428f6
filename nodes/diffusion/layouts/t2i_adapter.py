"""T2I-Adapters (Mou et al. 2023): full, light and for SDXL; the layouts of TencentARC and of diffusers.

TencentARC's files count the residual blocks through, diffusers' those of each level.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from nodes.diffusion.layouts.rules import Rule
from nodes.diffusion.layouts.unet import Shapes, count

FULL_BLOCKS = 2
"""Residual blocks a level of the full adapters in TencentARC's files, where levels are not told apart."""
XL_INPUTS = (1 * 16**2, 3 * 16**2)
"""Channels after unshuffling by 16, of grey and colour pictures: what adapters for SDXL take."""


def is_adapter(shapes: Shapes) -> bool:
    """True for the tensors of a T2I-Adapter, without prefix."""
    return any(name in shapes for name in ("body.0.resnets.0.block1.weight", "body.0.block1.weight")) or (
        "body.0.body.0.block1.weight" in shapes
    )


def config_from(shapes: Shapes) -> dict[str, Any]:
    """The configuration of a T2I-Adapter from its shapes (names without `adapter.`), in diffusers' terms."""
    if "body.0.out_conv.weight" in shapes:
        pattern = (
            "body.0.resnets.{}.block1.weight"
            if "body.0.resnets.0.block1.weight" in shapes
            else "body.0.body.{}.block1.weight"
        )
        levels = count(shapes, "body.{}.out_conv.weight")
        widths = [shapes[f"body.{level}.out_conv.weight"][0] for level in range(levels)]
        if widths[-1:] != widths[-2:-1]:
            raise ValueError("the last two levels of a light adapter are of one width")
        inputs = shapes["body.0.in_conv.weight"][1]
        return {
            **_inputs(inputs),
            "adapter_type": "light_adapter",
            "channels": widths[:-1],
            "num_res_blocks": count(shapes, pattern),
        }
    if "body.0.resnets.0.block1.weight" in shapes:
        levels = count(shapes, "body.{}.resnets.0.block1.weight")
        widths = [shapes[f"body.{level}.resnets.0.block1.weight"][0] for level in range(levels)]
        blocks = count(shapes, "body.0.resnets.{}.block1.weight")
    else:
        through = count(shapes, "body.{}.block1.weight")
        blocks = FULL_BLOCKS
        widths = [shapes[f"body.{place}.block1.weight"][0] for place in range(0, through, blocks)]
    inputs = shapes["conv_in.weight"][1]
    kind = "full_adapter_xl" if inputs in XL_INPUTS else "full_adapter"
    return {**_inputs(inputs), "adapter_type": kind, "channels": widths, "num_res_blocks": blocks}


def _inputs(channels: int) -> dict[str, int]:
    shrink = 16 if channels in XL_INPUTS else 8
    return {"in_channels": channels // shrink**2, "downscale_factor": shrink}


def original_rules(config: Mapping[str, Any], targets: Iterable[str]) -> tuple[Rule, ...]:
    """Rules between a T2IAdapter with `config` and TencentARC's layout."""
    return tuple(_rule(config, target) for target in targets)


def _rule(config: Mapping[str, Any], target: str) -> Rule:
    plain = target.removeprefix("adapter.")
    parts = plain.split(".")
    if parts[0] != "body":
        return Rule(target, plain)
    if config["adapter_type"] == "light_adapter":
        return Rule(target, plain.replace(".resnets.", ".body."))
    level, blocks = int(parts[1]), int(config["num_res_blocks"])
    if parts[2] == "resnets":
        return Rule(target, f"body.{level * blocks + int(parts[3])}.{'.'.join(parts[4:])}")
    return Rule(target, f"body.{level * blocks}.{'.'.join(parts[2:])}")
