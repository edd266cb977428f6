"""DAT (Chen et al. 2023, arXiv 2308.03364): attention between places and between channels, in turn."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from nodes.diffusion.layouts.unet import Shapes
from nodes.diffusion.upscaling.architecture import (
    RGB_MEAN,
    Architecture,
    Design,
    TensorReader,
    layers,
    require,
)
from nodes.diffusion.upscaling.tails import Tail, add_tail, enlarged, tail_of, tail_scale
from nodes.diffusion.upscaling.windows import (
    attention,
    convolved,
    cut,
    headed,
    joined,
    relative_index,
    residual_convolution,
    shift_mask,
)

DISTANCES = "layers.0.blocks.0.attn.attns.0.rpe_biases"
"""The distances within a window: their last row tells the window's sides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """The sizes of a DAT. `window` has the sides of its windows: half of the heads have them the other way round."""

    width: int
    inner: int
    hidden: int
    window: tuple[int, int]
    depths: Sequence[int]
    heads: Sequence[int]
    tail: Tail
    scale: int
    biased: bool
    three: bool


class _SpatialGate(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.conv = nn.Conv2d(width, width, 3, padding=1, groups=width)

    def forward(self, x: Tensor) -> Tensor:
        first, second = x.chunk(2, dim=-1)
        return first * convolved(self.norm(second), self.conv)


class _FeedForward(nn.Module):
    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.sg = _SpatialGate(hidden // 2)
        self.fc2 = nn.Linear(hidden // 2, width)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.fc2(self.sg(functional.gelu(self.fc1(x))))
        return result


class _DistanceBias(nn.Module):
    """A small network from distances to biases."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.pos_proj = nn.Linear(2, width)
        self.pos1, self.pos2, self.pos3 = (
            nn.Sequential(nn.LayerNorm(width), nn.ReLU(), nn.Linear(width, out))
            for out in (width, width, heads)
        )

    def forward(self, distances: Tensor) -> Tensor:
        result: Tensor = self.pos3(self.pos2(self.pos1(self.pos_proj(distances))))
        return result


class _Branch(nn.Module):
    """Attention within rectangular windows."""

    def __init__(self, width: int, window: tuple[int, int], heads: int) -> None:
        super().__init__()
        self.window, self.heads = window, heads
        self.pos = _DistanceBias(width // 16, heads)

    def forward(self, qkv: Tensor, shifted: bool) -> Tensor:
        """Maps (3, batch, rows, columns, channels) of whole windows to a map (batch, rows, columns, channels)."""
        height, width = self.window
        shift = (height // 2, width // 2) if shifted else (0, 0)
        rows, columns = qkv.shape[2:4]
        mask = shift_mask((rows, columns), self.window, shift, qkv) if shifted else None
        turned = torch.roll(qkv, (-shift[0], -shift[1]), dims=(2, 3))
        q, k, v = (headed(cut(part, height, width), self.heads) for part in turned)
        bias = self.pos(self._distances(qkv))[relative_index(height, width).to(qkv.device)]
        found = joined(attention(q, k, v, bias.permute(2, 0, 1), mask), height, width, rows, columns)
        return torch.roll(found, shift, dims=(1, 2))

    def _distances(self, like: Tensor) -> Tensor:
        down, across = (torch.arange(1 - side, side) for side in self.window)
        return torch.cartesian_prod(down, across).to(like)


class _Interaction(nn.Module):
    """Two ways side by side, attention and convolution, each weighed by what the other found."""

    def __init__(self, width: int, *, biased: bool) -> None:
        super().__init__()
        self.qkv = nn.Linear(width, 3 * width, bias=biased)
        self.proj = nn.Linear(width, width)
        self.dwconv = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, groups=width), nn.BatchNorm2d(width), nn.GELU()
        )
        self.channel_interaction = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(width, width // 8, 1),
            nn.BatchNorm2d(width // 8),
            nn.GELU(),
            nn.Conv2d(width // 8, width, 1),
        )
        self.spatial_interaction = nn.Sequential(
            nn.Conv2d(width, width // 16, 1),
            nn.BatchNorm2d(width // 16),
            nn.GELU(),
            nn.Conv2d(width // 16, 1, 1),
        )

    def _channels(self, x: Tensor) -> Tensor:
        return torch.sigmoid(convolved(x, self.channel_interaction))

    def _places(self, x: Tensor) -> Tensor:
        return torch.sigmoid(convolved(x, self.spatial_interaction))


class _SpatialAttention(_Interaction):
    def __init__(self, sizes: Sizes, heads: int, *, shifted: bool) -> None:
        super().__init__(sizes.width, biased=sizes.biased)
        self.window, self.shifted = sizes.window, shifted
        half = sizes.width // 2
        self.attns = nn.ModuleList(
            [_Branch(half, sizes.window, heads // 2), _Branch(half, sizes.window[::-1], heads // 2)]
        )

    def forward(self, x: Tensor) -> Tensor:
        rows, columns = x.shape[1:3]
        qkv = torch.stack(self.qkv(x).chunk(3, dim=-1))
        side = max(self.window)
        filled = functional.pad(qkv, (0, 0, 0, -columns % side, 0, -rows % side))
        parts = [
            branch(half, self.shifted)
            for branch, half in zip(self.attns, filled.chunk(2, dim=-1), strict=True)
        ]
        found = torch.cat(parts, dim=-1)[:, :rows, :columns]
        beside = convolved(qkv[2], self.dwconv)
        result: Tensor = self.proj(found * self._channels(beside) + self._places(found) * beside)
        return result


class _ChannelAttention(_Interaction):
    def __init__(self, sizes: Sizes, heads: int) -> None:
        super().__init__(sizes.width, biased=sizes.biased)
        self.heads = heads
        self.temperature = nn.Parameter(torch.ones(heads, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        value = self.qkv(x).chunk(3, dim=-1)
        q, k, v = (
            part.flatten(1, 2).mT.reshape(len(x), self.heads, x.shape[-1] // self.heads, -1) for part in value
        )
        likeness = functional.normalize(q, dim=-1) @ functional.normalize(k, dim=-1).mT * self.temperature
        found = (likeness.softmax(dim=-1) @ v).flatten(1, 2).mT.reshape(x.shape)
        beside = convolved(value[2], self.dwconv)
        result: Tensor = self.proj(found * self._places(beside) + beside * self._channels(found))
        return result


class _Block(nn.Module):
    def __init__(self, sizes: Sizes, heads: int, *, group: int, number: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(sizes.width)
        if number % 2:
            self.attn: nn.Module = _ChannelAttention(sizes, heads)
        else:
            shifted = number % 4 == (0 if group % 2 else 2)
            self.attn = _SpatialAttention(sizes, heads, shifted=shifted)
        self.norm2 = nn.LayerNorm(sizes.width)
        self.ffn = _FeedForward(sizes.width, sizes.hidden)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        result: Tensor = x + self.ffn(self.norm2(x))
        return result


class _Group(nn.Module):
    def __init__(self, sizes: Sizes, group: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            _Block(sizes, sizes.heads[group], group=group, number=number)
            for number in range(sizes.depths[group])
        )
        self.conv = residual_convolution(sizes.width, three=sizes.three)

    def forward(self, x: Tensor) -> Tensor:
        inner = x
        for block in self.blocks:
            inner = block(inner)
        return x + convolved(inner, self.conv)


class Dat(nn.Module):
    """Pictures (batch, 3, height, width) in [0, 1] of any size, enlarged."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.conv_first = nn.Conv2d(3, sizes.width, 3, padding=1)
        self.before_RG = nn.Sequential(nn.Identity(), nn.LayerNorm(sizes.width))
        self.layers = nn.ModuleList(_Group(sizes, group) for group in range(len(sizes.depths)))
        self.norm = nn.LayerNorm(sizes.width)
        self.conv_after_body = residual_convolution(sizes.width, three=sizes.three)
        add_tail(self, sizes.tail, width=sizes.width, inner=sizes.inner, scale=sizes.scale)

    def forward(self, x: Tensor) -> Tensor:
        mean = x.new_tensor(RGB_MEAN)[:, None, None]
        first = self.conv_first(x - mean)
        features = self.before_RG(first.movedim(1, -1))
        for group in self.layers:
            features = group(features)
        features = self.conv_after_body(self.norm(features).movedim(-1, 1)) + first
        return enlarged(self, self.sizes.tail, features) + mean


def _recognises(shapes: Shapes) -> bool:
    return {
        "conv_first.weight",
        "before_RG.1.weight",
        "layers.0.blocks.0.ffn.sg.conv.weight",
    } <= shapes.keys()


def _design(shapes: Shapes, read: TensorReader) -> Design | str:
    if DISTANCES not in shapes:
        return "it does not tell how large its windows are"
    height, width = (int(far) + 1 for far in read(DISTANCES)[-1])
    require(min(height, width) > 0, (2 * height - 1) * (2 * width - 1) == shapes[DISTANCES][0])
    groups = range(layers(shapes, "layers."))
    tail = tail_of(shapes)
    sizes = Sizes(
        width=shapes["conv_first.weight"][0],
        inner=shapes["conv_before_upsample.0.weight"][0] if tail == "pixelshuffle" else 0,
        hidden=shapes["layers.0.blocks.0.ffn.fc1.weight"][0],
        window=(height, width),
        depths=[layers(shapes, f"layers.{group}.blocks.") for group in groups],
        heads=[2 * shapes[f"layers.{group}.blocks.0.attn.attns.0.pos.pos3.2.weight"][0] for group in groups],
        tail=tail,
        scale=tail_scale(shapes, tail),
        biased="layers.0.blocks.0.attn.qkv.bias" in shapes,
        three="conv_after_body.0.weight" in shapes,
    )
    require(*(sizes.width % heads == 0 for heads in sizes.heads))
    return Design(
        make=lambda: Dat(sizes),
        scale=sizes.scale,
        takes=shapes["conv_first.weight"][1],
        gives=3 if tail == "pixelshuffledirect" else shapes["conv_last.weight"][0],
        half=False,
        tile=256,
        spare=re.compile(r".*\.(attn_mask_[01]|rpe_biases|relative_position_index)\Z"),
    )


ARCHITECTURE = Architecture(title="DAT", recognises=_recognises, design=_design)
