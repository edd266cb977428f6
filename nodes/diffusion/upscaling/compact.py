"""SRVGGNet, the compact form of Real-ESRGAN: a plain row of convolutions."""

from __future__ import annotations

import math
import re

from torch import Tensor, nn
from torch.nn import functional

from nodes.diffusion.layouts.unet import Shapes
from nodes.diffusion.upscaling.architecture import Architecture, Design, TensorReader, require


class SrvggNet(nn.Module):
    """A plain row of convolutions whose last makes all pixels of the larger picture (Wang et al. 2021, compact)."""

    def __init__(self, *, width: int, convolutions: int, scale: int, channels: int = 3) -> None:
        super().__init__()
        self.scale = scale
        layers: list[nn.Module] = [nn.Conv2d(channels, width, 3, padding=1), nn.PReLU(width)]
        for _ in range(convolutions):
            layers += [nn.Conv2d(width, width, 3, padding=1), nn.PReLU(width)]
        layers.append(nn.Conv2d(width, channels * scale**2, 3, padding=1))
        self.body = nn.ModuleList(layers)

    def forward(self, x: Tensor) -> Tensor:
        features = x
        for layer in self.body:
            features = layer(features)
        enlarged = functional.pixel_shuffle(features, self.scale)
        return enlarged + functional.interpolate(x, scale_factor=self.scale, mode="nearest")


def _recognises(shapes: Shapes) -> bool:
    return "body.0.weight" in shapes and "conv_first.weight" not in shapes


def _design(shapes: Shapes, read: TensorReader) -> Design | str:
    del read
    indices = [int(name.split(".")[1]) for name in shapes if re.fullmatch(r"body\.\d+\.weight", name)]
    first, last = shapes["body.0.weight"], shapes[f"body.{max(indices)}.weight"]
    require(max(indices) < 2 * len(shapes))
    channels = first[1]
    scale = math.isqrt(last[0] // max(channels, 1))
    if len(last) != 4 or last[0] != channels * scale**2 or len(shapes.get("body.1.weight", (0, 0))) != 1:
        return "its layers are not those of Real-ESRGAN's compact form"
    return Design(
        make=lambda: SrvggNet(width=first[0], convolutions=(max(indices) - 2) // 2, scale=scale),
        scale=scale,
        takes=channels,
        gives=channels,
        spare=re.compile(""),
    )


ARCHITECTURE = Architecture(title="Real-ESRGAN (compact)", recognises=_recognises, design=_design)
