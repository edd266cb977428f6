"""ControlNet-LLLite (kohya 2023) at work: a picture changes what layers of a UNet take (see `HintNetwork`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor

from graphcore.errors import InputError
from nodes.diffusion.control_networks import PictureControl
from nodes.diffusion.entries import rows_for
from nodes.diffusion.layouts.lllite import PREFIX
from nodes.diffusion.network import ForwardPass, InputAddition, Residuals
from nodes.diffusion.patches.module_names import module_names
from nodes.diffusion.region import Region

OUTERMOST = (f"{PREFIX}input_blocks_1_1_", f"{PREFIX}down_blocks_0_attentions_")
"""Layers that SDXL does not have."""


def layer_names(
    config: Mapping[str, Any], layers: Mapping[str, Any], weights: Sequence[str]
) -> dict[str, str]:
    """Which of a UNet's layers each of a file's is, by their names; those that are none are left out.

    `weights` are the names of the UNet's tensors.
    """
    plain = {name.replace(".attn1.attention.", ".attn1."): name for name in weights}
    known = module_names("unet", "unet", config, list(plain))
    found = {}
    for layer in layers:
        targets = known.get(f"lora_unet_{layer.removeprefix(PREFIX)}")
        if targets:
            found[layer] = plain[targets[0].weight].removesuffix(".weight")
    return found


def is_for_sdxl(layers: Mapping[str, Any]) -> bool:
    """Whether a file was made for SDXL, which has no attention in its outermost blocks."""
    return not any(layer.startswith(OUTERMOST) for layer in layers)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LlliteControl(PictureControl):
    """A ControlNet-LLLite with its picture (batch, 3, height, width) in [-1, 1], of `factor` pixels a latent cell.

    `names` says which layer of the UNet each of `module`'s belongs to.
    """

    names: Mapping[str, str]
    _seen: dict[tuple[str, Region | None], Tensor] = field(init=False, default_factory=dict)

    def __call__(self, forward: ForwardPass) -> Residuals:
        """Additions to what layers take."""
        additions: dict[str, InputAddition] = {
            self.names[layer]: partial(self._added, layer, forward) for layer in self.module
        }
        return Residuals(inputs=(additions,))

    def _added(self, layer: str, forward: ForwardPass, x: Tensor) -> Tensor:
        pictures = [self._picture(layer, region) for region in forward.regions]
        seen = torch.cat([rows_for(picture, forward.batch) for picture in pictures])
        if (len(seen), _places(seen)) != (len(x), _places(x)):
            raise InputError(
                "ControlNet-LLLite does not go together with nodes that cut or merge what attention sees (HyperTile, "
                "token merging, deep shrink); take those away.",
                code="unsupported-choice",
            )
        result: Tensor = self.module[layer](x, seen) * self.strength
        return result

    def _picture(self, layer: str, region: Region | None) -> Tensor:
        """What a layer sees of the picture, computed once a run."""
        key = (layer, region)
        if key not in self._seen:
            self._seen[key] = self.module[layer].picture(self.part(region))
        return self._seen[key]


def _places(x: Tensor) -> tuple[int, ...]:
    """The sides of maps, or the number of tokens."""
    return tuple(x.shape[2:] if x.ndim == 4 else x.shape[1:2])
