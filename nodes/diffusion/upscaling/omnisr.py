"""Omni-SR (Wang et al. 2023, arXiv 2304.10244): attention between places and between channels, near and far."""

from __future__ import annotations

import re
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from nodes.diffusion.layouts.unet import Shapes
from nodes.diffusion.upscaling.architecture import Architecture, Design, TensorReader, layers, require
from nodes.diffusion.upscaling.windows import ChannelNorm, attention, headed, relative_index, window_of

HEADS = 4
LEAST_SIDE = 16
"""Less is too small for the pooling at the end of each group."""
BLOCK = "residual_layer.0.residual_layer.0.layer."
TABLE = BLOCK + "2.fn.rel_pos_bias.weight"
DEFAULT_WINDOW = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """The sizes of an Omni-SR. `blocks` has how many its groups have; `placed`: distances have a bias."""

    width: int
    squeezed: int
    gated: int
    pooled: int
    window: int
    groups: int
    blocks: int
    scale: int
    placed: bool
    biased: bool


class _Squeeze(nn.Module):
    def __init__(self, width: int, squeezed: int) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            nn.Identity(),
            nn.Linear(width, squeezed, bias=False),
            nn.SiLU(),
            nn.Linear(squeezed, width, bias=False),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = x * self.gate(x.mean((2, 3)))[..., None, None]
        return result


class _Residual(nn.Module):
    """What a layer makes of its input, normed where it has a norm, beside its input."""

    def __init__(self, layer: nn.Module, norm: nn.Module | None = None) -> None:
        super().__init__()
        self.norm = norm
        self.fn = layer

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = x + self.fn(x if self.norm is None else self.norm(x))
        return result


class _Gated(nn.Module):
    def __init__(self, width: int, gated: int) -> None:
        super().__init__()
        self.project_in = nn.Conv2d(width, 2 * gated, 1, bias=False)
        self.dwconv = nn.Conv2d(2 * gated, 2 * gated, 3, padding=1, groups=2 * gated, bias=False)
        self.project_out = nn.Conv2d(gated, width, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        first, second = self.dwconv(self.project_in(x)).chunk(2, dim=1)
        result: Tensor = self.project_out(functional.gelu(first) * second)
        return result


class _Places(nn.Module):
    """Attention between places: those of a window, or with `far` those at the same place of each part."""

    def __init__(self, sizes: Sizes, *, far: bool) -> None:
        super().__init__()
        self.window, self.far = sizes.window, far
        self.to_qkv = nn.Linear(sizes.width, 3 * sizes.width, bias=False)
        self.to_out = nn.Sequential(nn.Linear(sizes.width, sizes.width, bias=False))
        if sizes.placed:
            self.rel_pos_bias = nn.Embedding((2 * sizes.window - 1) ** 2, HEADS)

    def forward(self, windows: Tensor) -> Tensor:
        q, k, v = (headed(part, HEADS) for part in self.to_qkv(windows).chunk(3, -1))
        bias = windows.new_zeros(1)
        if hasattr(self, "rel_pos_bias"):
            index = relative_index(self.window, self.window).to(windows.device)
            bias = self.rel_pos_bias(index).permute(2, 0, 1)
        result: Tensor = self.to_out(attention(q, k, v, bias, None))
        return result


class _PlacesResidual(_Residual):
    """`_Residual` over windows (batch * windows, places, channels) of a map."""

    def __init__(self, sizes: Sizes, *, far: bool) -> None:
        super().__init__(_Places(sizes, far=far), nn.LayerNorm(sizes.width))
        self.window, self.far = sizes.window, far

    def forward(self, x: Tensor) -> Tensor:
        batch, width, rows, columns = x.shape
        side, down, across = self.window, rows // self.window, columns // self.window
        if self.far:
            parts = x.reshape(batch, width, side, down, side, across).permute(0, 3, 5, 2, 4, 1)
        else:
            parts = x.reshape(batch, width, down, side, across, side).permute(0, 2, 4, 3, 5, 1)
        done = super().forward(parts.reshape(-1, side**2, width)).reshape(parts.shape)
        return done.permute((0, 5, 3, 1, 4, 2) if self.far else (0, 5, 1, 3, 2, 4)).reshape(x.shape)


class _Channels(nn.Module):
    """Attention between channels: within each window, or with `far` over the same place of all."""

    def __init__(self, sizes: Sizes, *, far: bool) -> None:
        super().__init__()
        self.window, self.far = sizes.window, far
        wide = 3 * sizes.width
        self.temperature = nn.Parameter(torch.ones(HEADS, 1, 1))
        self.qkv = nn.Conv2d(sizes.width, wide, 1, bias=False)
        self.qkv_dwconv = nn.Conv2d(wide, wide, 3, padding=1, groups=wide, bias=False)
        self.project_out = nn.Conv2d(sizes.width, sizes.width, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (self._parted(part) for part in self.qkv_dwconv(self.qkv(x)).chunk(3, dim=1))
        likeness = functional.normalize(q, dim=-1) @ functional.normalize(k, dim=-1).mT * self.temperature
        result: Tensor = self.project_out(self._joined(likeness.softmax(dim=-1) @ v, x))
        return result

    def _order(self) -> tuple[int, ...]:
        return (0, 3, 5, 1, 2, 4) if self.far else (0, 2, 4, 1, 3, 5)

    def _parted(self, x: Tensor) -> Tensor:
        """Channels of each part: (batch * parts, heads, channels, places)."""
        batch, width, rows, columns = x.shape
        side = self.window
        parts = x.reshape(batch, width, rows // side, side, columns // side, side).permute(self._order())
        count = parts.shape[1] * parts.shape[2] * batch
        return parts.reshape(count, HEADS, width // HEADS, -1)

    def _joined(self, parts: Tensor, like: Tensor) -> Tensor:
        batch, width, rows, columns = like.shape
        shape = (batch, width, rows // self.window, self.window, columns // self.window, self.window)
        order = self._order()
        placed = parts.reshape([shape[place] for place in order])
        back = sorted(range(6), key=order.__getitem__)
        return placed.permute(back).reshape(like.shape)


class _Block(nn.Module):
    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        width = sizes.width
        local = nn.Sequential(
            nn.Conv2d(width, width, 1),
            nn.GELU(),
            nn.Conv2d(width, width, 3, padding=1, groups=width),
            nn.GELU(),
            _Squeeze(width, sizes.squeezed),
            nn.Conv2d(width, width, 1),
        )
        steps: list[nn.Module] = [_Residual(local)]
        for far in (False, True):
            steps += [nn.Identity(), _PlacesResidual(sizes, far=far), nn.Identity()]
            steps += [
                _Residual(_Gated(width, sizes.gated), ChannelNorm(width)),
                _Residual(_Channels(sizes, far=far), ChannelNorm(width)),
                _Residual(_Gated(width, sizes.gated), ChannelNorm(width)),
            ]
        self.layer = nn.Sequential(*steps)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.layer(x)
        return result


class _Pooled(nn.Module):
    """Weighs places by what is around them (Liu et al. 2020, "ESA")."""

    def __init__(self, width: int, pooled: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, pooled, 1)
        self.conv_f = nn.Conv2d(pooled, pooled, 1)
        self.conv2 = nn.Conv2d(pooled, pooled, 3, stride=2)
        self.conv3 = nn.Conv2d(pooled, pooled, 3, padding=1)
        self.conv4 = nn.Conv2d(pooled, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        near = self.conv1(x)
        around = self.conv3(functional.max_pool2d(self.conv2(near), 7, stride=3))
        large = functional.interpolate(around, x.shape[-2:], mode="bilinear", align_corners=False)
        result: Tensor = x * torch.sigmoid(self.conv4(large + self.conv_f(near)))
        return result


class _Group(nn.Module):
    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        last = nn.Conv2d(sizes.width, sizes.width, 1, bias=sizes.biased)
        self.residual_layer = nn.Sequential(*(_Block(sizes) for _ in range(sizes.blocks)), last)
        self.esa = _Pooled(sizes.width, sizes.pooled)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.esa(x + self.residual_layer(x))
        return result


class OmniSr(nn.Module):
    """Pictures (batch, 3, height, width) in [0, 1] of any size, enlarged."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.sizes = sizes
        width, biased = sizes.width, sizes.biased
        self.residual_layer = nn.Sequential(*(_Group(sizes) for _ in range(sizes.groups)))
        self.input = nn.Conv2d(3, width, 3, padding=1, bias=biased)
        self.output = nn.Conv2d(width, width, 3, padding=1, bias=biased)
        last = nn.Conv2d(width, 3 * sizes.scale**2, 3, padding=1, bias=biased)
        self.up = nn.Sequential(last, nn.PixelShuffle(sizes.scale))

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        scale, side = self.sizes.scale, self.sizes.window
        below, right = (max(LEAST_SIDE - length, 0) for length in (height, width))
        x = functional.pad(x, (0, right + -(width + right) % side, 0, below + -(height + below) % side))
        first = self.input(x)
        enlarged: Tensor = self.up(self.output(self.residual_layer(first)) + first)
        return enlarged[..., : height * scale, : width * scale]


def _recognises(shapes: Shapes) -> bool:
    return {"input.weight", "up.0.weight", BLOCK + "0.fn.0.weight"} <= shapes.keys()


def _design(shapes: Shapes, read: TensorReader) -> Design | str:
    del read
    first, last = shapes["input.weight"], shapes["up.0.weight"]
    scale = round((last[0] / first[1]) ** 0.5)
    sizes = Sizes(
        width=first[0],
        squeezed=shapes[BLOCK + "0.fn.4.gate.1.weight"][0],
        gated=shapes[BLOCK + "4.fn.project_out.weight"][1],
        pooled=shapes["residual_layer.0.esa.conv1.weight"][0],
        window=window_of(shapes, TABLE) if TABLE in shapes else DEFAULT_WINDOW,
        groups=layers(shapes, "residual_layer."),
        blocks=layers(shapes, "residual_layer.0.residual_layer.") - 1,
        scale=scale,
        placed=TABLE in shapes,
        biased="input.bias" in shapes,
    )
    require(sizes.width % HEADS == 0)
    return Design(
        make=lambda: OmniSr(sizes),
        scale=scale,
        takes=first[1],
        gives=last[0] // max(scale, 1) ** 2,
        half=False,
        tile=256,
        spare=re.compile(r".*(total_ops|total_params)\Z"),
    )


ARCHITECTURE = Architecture(title="Omni-SR", recognises=_recognises, design=_design)
