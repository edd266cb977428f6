"""Networks that enlarge pictures: RRDBNet (ESRGAN, Real-ESRGAN) and SRVGGNet (Real-ESRGAN's compact ones).

Names are those of BasicSR's files. Pictures are (batch, 3, height, width) in [0, 1].
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

_SLOPE = 0.2
_RESIDUAL = 0.2


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
