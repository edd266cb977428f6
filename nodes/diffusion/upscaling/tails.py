"""The last layers of networks that enlarge pictures: from features to more pixels."""

from __future__ import annotations

import math
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional

from nodes.diffusion.layouts.unet import Shapes

Tail = Literal["pixelshuffle", "pixelshuffledirect", "nearest+conv", ""]
"""As SwinIR's code names them; "" mends pictures without enlarging them."""


def tail_of(shapes: Shapes) -> Tail:
    """Which tail a file has."""
    if "conv_before_upsample.0.weight" in shapes:
        return "nearest+conv" if "conv_up1.weight" in shapes else "pixelshuffle"
    return "pixelshuffledirect" if "upsample.0.weight" in shapes else ""


def tail_scale(shapes: Shapes, tail: Tail) -> int:
    """How many times larger a file's tail makes the sides."""
    if tail == "nearest+conv":
        return int(2 ** sum(name.startswith("conv_up") and name.endswith(".weight") for name in shapes))
    if tail == "pixelshuffledirect":
        return math.isqrt(shapes["upsample.0.weight"][0] // 3)
    if tail == "":
        return 1
    steps = [shape for name, shape in shapes.items() if name.startswith("upsample.") and len(shape) == 4]
    return math.prod(math.isqrt(shape[0] // shape[1]) for shape in steps)


def shuffled_up(width: int, scale: int) -> nn.Sequential:
    """Convolutions that make channels of pixels, step by step: twice as many a side, or three times."""
    if scale == 3:
        return nn.Sequential(nn.Conv2d(width, 9 * width, 3, padding=1), nn.PixelShuffle(3))
    steps: list[nn.Module] = []
    for _ in range(scale.bit_length() - 1):
        steps += [nn.Conv2d(width, 4 * width, 3, padding=1), nn.PixelShuffle(2)]
    return nn.Sequential(*steps)


def add_tail(module: nn.Module, tail: Tail, *, width: int, inner: int, scale: int, channels: int = 3) -> None:
    """Give a network the layers of a tail, under the names that files have; `inner` is how wide they are."""
    if tail == "":
        module.conv_last = nn.Conv2d(width, channels, 3, padding=1)
        return
    if tail == "pixelshuffledirect":
        module.upsample = nn.Sequential(
            nn.Conv2d(width, channels * scale**2, 3, padding=1), nn.PixelShuffle(scale)
        )
        return
    module.conv_before_upsample = nn.Sequential(nn.Conv2d(width, inner, 3, padding=1), nn.LeakyReLU())
    if tail == "nearest+conv":
        for step in range(scale.bit_length() - 1):
            module.add_module(f"conv_up{step + 1}", nn.Conv2d(inner, inner, 3, padding=1))
        module.conv_hr = nn.Conv2d(inner, inner, 3, padding=1)
    else:
        module.upsample = shuffled_up(inner, scale)
    module.conv_last = nn.Conv2d(inner, channels, 3, padding=1)


def enlarged(module: nn.Module, tail: Tail, features: Tensor) -> Tensor:
    """What a tail makes of features."""
    layers = dict(module.named_children())
    x = features
    if tail != "pixelshuffledirect":
        x = layers["conv_before_upsample"](x)
    if tail == "nearest+conv":
        for name in sorted(name for name in layers if name.startswith("conv_up")):
            x = functional.leaky_relu(layers[name](functional.interpolate(x, scale_factor=2)), 0.2)
        x = functional.leaky_relu(layers["conv_hr"](x), 0.2)
    else:
        x = layers["upsample"](x)
    result: Tensor = x if tail == "pixelshuffledirect" else layers["conv_last"](x)
    return result
