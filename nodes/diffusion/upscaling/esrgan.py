"""ESRGAN and Real-ESRGAN (RRDBNet), under all three namings of their files; the network has those of BasicSR."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from nodes.diffusion.layouts.unet import Shapes
from nodes.diffusion.upscaling.architecture import Architecture, Design, TensorReader, layers

_SLOPE = 0.2
_RESIDUAL = 0.2
_OLD_BLOCK: Final = re.compile(r"model\.1\.sub\.(\d+)\.RDB([123])\.conv([1-5])\.0\.(weight|bias)\Z")
_TRUNK: Final = re.compile(r"RRDB_trunk\.(\d+)\.RDB([123])\.conv([1-5])\.(weight|bias)\Z")
_OLD_END: Final = re.compile(r"model\.(\d+)(?:\.sub\.(\d+))?\.(weight|bias)\Z")
_RENAMED: Final = {"trunk_conv": "conv_body", "HRconv": "conv_hr"}


class _DenseBlock(nn.Module):
    """Five convolutions, each of which sees the results of all before it."""

    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        for index in range(4):
            setattr(self, f"conv{index + 1}", nn.Conv2d(width + index * growth, growth, 3, padding=1))
        self.conv5 = nn.Conv2d(width + 4 * growth, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        seen = x
        for index in range(1, 5):
            new = functional.leaky_relu(getattr(self, f"conv{index}")(seen), _SLOPE)
            seen = torch.cat([seen, new], dim=1)
        result: Tensor = self.conv5(seen) * _RESIDUAL + x
        return result


class _ResidualBlock(nn.Module):
    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        self.rdb1, self.rdb2, self.rdb3 = (_DenseBlock(width, growth) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.rdb3(self.rdb2(self.rdb1(x))) * _RESIDUAL + x
        return result


class RrdbNet(nn.Module):
    """Residual-in-residual dense blocks (Wang et al. 2018, "ESRGAN"; 2021, "Real-ESRGAN").

    It doubles the sides `doublings` times; with `shuffle` above 1, blocks of so many pixels a side become channels
    first.
    """

    def __init__(
        self, *, width: int, growth: int, blocks: int, doublings: int, shuffle: int = 1, channels: int = 3
    ) -> None:
        super().__init__()
        self.doublings, self.shuffle = doublings, shuffle
        self.scale = 2**doublings // shuffle
        self.conv_first = nn.Conv2d(channels * shuffle**2, width, 3, padding=1)
        self.body = nn.ModuleList(_ResidualBlock(width, growth) for _ in range(blocks))
        self.conv_body = nn.Conv2d(width, width, 3, padding=1)
        for index in range(doublings):
            setattr(self, f"conv_up{index + 1}", nn.Conv2d(width, width, 3, padding=1))
        self.conv_hr = nn.Conv2d(width, width, 3, padding=1)
        self.conv_last = nn.Conv2d(width, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        if self.shuffle > 1:
            padding = (0, -width % self.shuffle, 0, -height % self.shuffle)
            x = functional.pixel_unshuffle(functional.pad(x, padding, mode="replicate"), self.shuffle)
        features = self.conv_first(x)
        inner = features
        for block in self.body:
            inner = block(inner)
        features = features + self.conv_body(inner)
        for index in range(self.doublings):
            larger = functional.interpolate(features, scale_factor=2, mode="nearest")
            features = functional.leaky_relu(getattr(self, f"conv_up{index + 1}")(larger), _SLOPE)
        result: Tensor = self.conv_last(functional.leaky_relu(self.conv_hr(features), _SLOPE))
        return result[..., : height * self.scale, : width * self.scale]


def _rename(shapes: Shapes) -> Mapping[str, str]:
    ends = [int(match.group(1)) for name in shapes if (match := _OLD_END.match(name))]
    return {_rrdb_name(name, max(ends, default=0)): name for name in shapes}


def _rrdb_name(name: str, last: int) -> str:
    """BasicSR's name for a tensor of the first ESRGAN files, or of those in between; `last` is their last layer."""
    block = _OLD_BLOCK.match(name) or _TRUNK.match(name)
    if block is not None:
        index, dense, convolution, kind = block.groups()
        return f"body.{index}.rdb{dense}.conv{convolution}.{kind}"
    end = _OLD_END.match(name)
    if end is not None:
        place, inner, kind = int(end.group(1)), end.group(2), end.group(3)
        if inner is not None:
            return f"conv_body.{kind}"
        named = {0: "conv_first", last: "conv_last", last - 2: "conv_hr"}
        return f"{named.get(place, f'conv_up{place // 3}')}.{kind}"
    head, _, rest = name.partition(".")
    return f"{_RENAMED.get(head, head.replace('upconv', 'conv_up'))}.{rest}"


def _recognises(shapes: Shapes) -> bool:
    return {"conv_first.weight", "conv_last.weight", "body.0.rdb1.conv1.weight"} <= shapes.keys()


def _design(shapes: Shapes, read: TensorReader) -> Design | str:
    del read
    first, last = shapes["conv_first.weight"], shapes["conv_last.weight"]
    growth, blocks = shapes["body.0.rdb1.conv1.weight"][0], layers(shapes, "body.")
    doublings = sum(name.startswith("conv_up") and name.endswith(".weight") for name in shapes)
    shuffle = math.isqrt(first[1] // last[0])
    if first[1] != last[0] * shuffle**2 or 2**doublings % max(shuffle, 1):
        return f"it takes {first[1]} channels and gives {last[0]}, and pictures have 3"
    return Design(
        make=lambda: RrdbNet(
            width=first[0], growth=growth, blocks=blocks, doublings=doublings, shuffle=shuffle
        ),
        scale=2**doublings // shuffle,
        takes=first[1] // shuffle**2,
        gives=last[0],
        spare=re.compile(""),
    )


ARCHITECTURE = Architecture(title="ESRGAN", recognises=_recognises, design=_design, rename=_rename)
