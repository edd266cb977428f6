"""TAESD (Bohan 2023): layouts of its files, and the configuration that their shapes have.

Encoder and decoder are rows of layers: convolutions, and residual blocks of three convolutions each. The author's
files number them, the decoder's from its clamp on; diffusers (AutoencoderTiny) numbers them without it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from torch import nn

from nodes.diffusion.layouts.rules import Rule
from nodes.diffusion.layouts.unet import Shapes

SIDES = ("encoder", "decoder")
CLAMP = {"encoder": 0, "decoder": 1}
"""How many layers without weights the author's files count before those of diffusers."""
_LAYER = re.compile(r"(?:(encoder|decoder)\.layers\.)(\d+)\.(.+)\Z")
_BLOCK = "conv.0.weight"


def sides_of(shapes: Shapes) -> tuple[str, ...]:
    """Which sides are there, of tensors under diffusers' names."""
    return tuple(side for side in SIDES if any(name.startswith(f"{side}.layers.") for name in shapes))


def in_diffusers(side: str, shapes: Shapes) -> Shapes:
    """One side's shapes, numbered as the author does, under their names in diffusers."""
    found = {}
    for name, shape in shapes.items():
        number, _, rest = name.partition(".")
        if number.isdigit():
            found[f"{side}.layers.{int(number) - CLAMP[side]}.{rest}"] = shape
    return found


def side_of(shapes: Shapes) -> str | None:
    """Which side a file of one side holds, numbered as the author does; None if it is none of TAESD's.

    An encoder begins with a convolution of pictures, a decoder with its clamp.
    """
    if "0.weight" in shapes and f"1.{_BLOCK}" in shapes:
        return "encoder"
    if "1.weight" in shapes and f"3.{_BLOCK}" in shapes and "0.weight" not in shapes:
        return "decoder"
    return None


def config_from(shapes: Shapes) -> dict[str, Any]:
    """The configuration of AutoencoderTiny from shapes under diffusers' names, and which `sides` it has.

    Raises KeyError, IndexError or ValueError where they are not those of one.
    """
    sides = sides_of(shapes)
    config: dict[str, Any] = {"sides": list(sides), "scaling_factor": 1.0, "shift_factor": 0.0}
    for side in sides:
        convolutions, blocks = _row(shapes, side)
        first, last = convolutions[0], convolutions[-1]
        latents = last[0] if side == "encoder" else first[1]
        if config.setdefault("latent_channels", latents) != latents:
            raise ValueError("both sides have other numbers of latent channels")
        config[f"{side}_block_out_channels"] = [shape[0] for shape in convolutions[:-1]]
        config[f"num_{side}_blocks"] = blocks
        config["in_channels" if side == "encoder" else "out_channels"] = (
            first[1] if side == "encoder" else last[0]
        )
    return config


def _row(shapes: Shapes, side: str) -> tuple[list[tuple[int, ...]], list[int]]:
    """The shapes of a side's convolutions, and how many blocks stand between each and the next."""
    convolutions: list[tuple[int, ...]] = []
    blocks: list[int] = []
    for number in sorted(
        {int(found[2]) for name in shapes if (found := _LAYER.match(name)) and found[1] == side}
    ):
        plain = shapes.get(f"{side}.layers.{number}.weight")
        if plain is None:
            blocks[-1] += f"{side}.layers.{number}.{_BLOCK}" in shapes
        else:
            convolutions.append(plain)
            blocks.append(0)
    return convolutions, blocks[:-1]


def rules(config: Mapping[str, Any], targets: Iterable[str]) -> tuple[Rule, ...]:
    """Rules between AutoencoderTiny and the author's numbers, with `encoder.` or `decoder.` before them."""
    return tuple(_rule(target) for target in targets)


def _rule(target: str) -> Rule:
    found = _LAYER.match(target)
    if found is None:
        return Rule(target, target)
    side, number, rest = found.groups()
    return Rule(target, f"{side}.{int(number) + CLAMP[side]}.{rest}")


def from_config(config: Mapping[str, Any]) -> nn.Module:
    """An AutoencoderTiny with the sides that `config` says, all where it is silent; the other is None."""
    import diffusers

    known = diffusers.AutoencoderTiny.__init__.__wrapped__.__code__.co_varnames
    module: nn.Module = diffusers.AutoencoderTiny(
        **{key: value for key, value in config.items() if key in known}
    )
    for side in SIDES:
        if side not in config.get("sides", SIDES):
            setattr(module, side, None)
    return module
