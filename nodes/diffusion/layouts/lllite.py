"""ControlNet-LLLite (kohya 2023): the layout of its files, and the small networks that they hold.

One for each layer of the UNet that it changes. A picture becomes maps (`conditioning1`) as large as the layer's, and
with what the layer takes (`down`) they make (`mid`, `up`) what is added to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from nodes.diffusion.layouts.unet import Shapes

PREFIX = "lllite_unet_"
PARTS = ("conditioning1", "down", "mid", "up")


class LlliteLayer(nn.Module):
    """What is added to one layer's input; `kernels` are those of its three or fewer convolutions over the picture."""

    def __init__(
        self,
        *,
        takes: int,
        width: int,
        seen: int,
        inner: tuple[int, ...],
        kernels: tuple[int, ...],
        maps: bool,
    ) -> None:
        super().__init__()
        self.maps, self.cell = maps, prod(kernels)
        steps: list[nn.Module] = []
        for before, after, kernel in zip((3, *inner), (*inner, seen), kernels, strict=True):
            steps += [nn.Conv2d(before, after, kernel, stride=kernel), nn.ReLU()]
        self.conditioning1 = nn.Sequential(*steps[:-1])
        self.down = nn.Sequential(self._layer(takes, width), nn.ReLU())
        self.mid = nn.Sequential(self._layer(width + seen, width), nn.ReLU())
        self.up = nn.Sequential(self._layer(width, takes))

    def _layer(self, takes: int, gives: int) -> nn.Module:
        return nn.Conv2d(takes, gives, 1) if self.maps else nn.Linear(takes, gives)

    def picture(self, pixels: Tensor) -> Tensor:
        """A picture (batch, 3, height, width) in [-1, 1] as the layer sees it; sides are filled up to its cells."""
        height, width = pixels.shape[-2:]
        sides = (0, -width % self.cell, 0, -height % self.cell)
        seen: Tensor = self.conditioning1(functional.pad(pixels, sides, mode="replicate"))
        return seen if self.maps else seen.flatten(2).mT

    def forward(self, x: Tensor, seen: Tensor) -> Tensor:
        """What is added to `x`, given what `picture` made."""
        joined = torch.cat([seen, self.down(x)], dim=1 if self.maps else 2)
        result: Tensor = self.up(self.mid(joined))
        return result


def config_from(shapes: Shapes) -> dict[str, Any]:
    """The sizes of each layer's network, by its name; raises KeyError or IndexError where they are not there."""
    heads = {name.partition(".")[0] for name in shapes}
    return {"layers": {head: _sizes(shapes, head) for head in sorted(heads) if head.startswith(PREFIX)}}


def _sizes(shapes: Shapes, head: str) -> dict[str, Any]:
    convolutions = [shapes[f"{head}.conditioning1.0.weight"]]
    while f"{head}.conditioning1.{2 * len(convolutions)}.weight" in shapes:
        convolutions.append(shapes[f"{head}.conditioning1.{2 * len(convolutions)}.weight"])
    down = shapes[f"{head}.down.0.weight"]
    return {
        "takes": down[1],
        "width": down[0],
        "seen": convolutions[-1][0],
        "inner": tuple(shape[0] for shape in convolutions[:-1]),
        "kernels": tuple(shape[2] for shape in convolutions),
        "maps": len(down) == 4,
    }


def from_config(config: Mapping[str, Any]) -> nn.ModuleDict:
    """The networks by the names of their layers, on the current device."""
    return nn.ModuleDict({name: LlliteLayer(**sizes) for name, sizes in config["layers"].items()})
