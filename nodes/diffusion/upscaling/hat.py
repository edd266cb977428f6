"""HAT (Chen et al. 2023, arXiv 2205.04437): Swin blocks beside channel attention, and windows that see their
neighbours.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

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
from nodes.diffusion.upscaling.tails import add_tail, enlarged, tail_scale
from nodes.diffusion.upscaling.windows import (
    FeedForward,
    WindowAttention,
    attended,
    attention,
    convolved,
    cut,
    headed,
    joined,
    padded,
    shift_mask,
    window_of,
)

BLOCKS = "layers.{}.residual_group.blocks."
OVERLAP = "layers.{}.residual_group.overlap_attn."
CHANNELS_SHARE = 0.01
"""How much channel attention counts, in all published models."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """The sizes of a HAT. `compressed` and `squeezed` are the widths within channel attention, `seen` the side of what
    a window sees of its neighbourhood.
    """

    width: int
    inner: int
    hidden: int
    compressed: int
    squeezed: int
    window: int
    seen: int
    depths: Sequence[int]
    heads: Sequence[int]
    scale: int
    biased: bool
    convolves: bool


class _Gate(nn.Module):
    """Weighs channels by what they are on the whole."""

    def __init__(self, width: int, squeezed: int) -> None:
        super().__init__()
        self.attention = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(width, squeezed, 1),
            nn.ReLU(),
            nn.Conv2d(squeezed, width, 1),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = x * self.attention(x)
        return result


class _Block(nn.Module):
    def __init__(self, sizes: Sizes, heads: int) -> None:
        super().__init__()
        width = sizes.width
        self.norm1 = nn.LayerNorm(width)
        self.attn = WindowAttention(width, sizes.window, heads, biased=sizes.biased)
        cab = nn.Sequential(
            nn.Conv2d(width, sizes.compressed, 3, padding=1),
            nn.GELU(),
            nn.Conv2d(sizes.compressed, width, 3, padding=1),
            _Gate(width, sizes.squeezed),
        )
        self.conv_block = nn.ModuleDict({"cab": cab})
        self.norm2 = nn.LayerNorm(width)
        self.mlp = FeedForward(width, sizes.hidden)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        normed = self.norm1(x)
        beside = convolved(normed, self.conv_block["cab"]) * CHANNELS_SHARE
        x = x + attended(normed, self.attn, mask) + beside
        result: Tensor = x + self.mlp(self.norm2(x))
        return result


class _Overlapping(nn.Module):
    """Windows attend to larger ones around them."""

    def __init__(self, sizes: Sizes, heads: int) -> None:
        super().__init__()
        width = sizes.width
        self.window, self.seen, self.heads = sizes.window, sizes.seen, heads
        self.norm1 = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width, bias=sizes.biased)
        table = torch.zeros((sizes.window + sizes.seen - 1) ** 2, heads)
        self.relative_position_bias_table = nn.Parameter(table)
        self.proj = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = FeedForward(width, sizes.hidden)

    def forward(self, x: Tensor) -> Tensor:
        rows, columns = x.shape[1:3]
        q, k, v = self.qkv(self.norm1(x)).chunk(3, dim=-1)
        own = headed(cut(q, self.window, self.window), self.heads)
        bias = self.relative_position_bias_table[self._index().to(x.device)].permute(2, 0, 1)
        keys, values = (headed(self._around(part), self.heads) for part in (k, v))
        found = attention(own, keys, values, bias, None)
        x = x + self.proj(joined(found, self.window, self.window, rows, columns))
        result: Tensor = x + self.mlp(self.norm2(x))
        return result

    def _around(self, x: Tensor) -> Tensor:
        """What each window sees (batch * windows, places, channels); outside of the picture there are zeros."""
        border = (self.seen - self.window) // 2
        found = functional.unfold(x.movedim(-1, 1), self.seen, padding=border, stride=self.window)
        places = found.reshape(len(x), x.shape[-1], self.seen**2, -1)
        return places.permute(0, 3, 2, 1).flatten(0, 1)

    def _index(self) -> Tensor:
        """Rows of the bias table for each place of a window and each that it sees; some are counted from its end."""
        own, seen = torch.arange(self.window), torch.arange(self.seen)
        far = seen[None] - own[:, None] + self.window - self.seen + 1
        sides = self.window + self.seen - 1
        index = far[:, None, :, None] * sides + far[None, :, None, :]
        return index.reshape(self.window**2, self.seen**2) % sides**2


class _Group(nn.Module):
    def __init__(self, sizes: Sizes, depth: int, heads: int) -> None:
        super().__init__()
        self.residual_group = nn.ModuleDict(
            {
                "blocks": nn.ModuleList(_Block(sizes, heads) for _ in range(depth)),
                "overlap_attn": _Overlapping(sizes, heads),
            }
        )
        self.conv = nn.Conv2d(sizes.width, sizes.width, 3, padding=1) if sizes.convolves else nn.Identity()

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        inner = x
        blocks: Any = self.residual_group["blocks"]
        for number, block in enumerate(blocks):
            inner = block(inner, mask if number % 2 else None)
        return x + convolved(self.residual_group["overlap_attn"](inner), self.conv)


class Hat(nn.Module):
    """Pictures (batch, 3, height, width) in [0, 1] of any size, enlarged."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.conv_first = nn.Conv2d(3, sizes.width, 3, padding=1)
        self.patch_embed = nn.ModuleDict({"norm": nn.LayerNorm(sizes.width)})
        self.layers = nn.ModuleList(
            _Group(sizes, depth, heads) for depth, heads in zip(sizes.depths, sizes.heads, strict=True)
        )
        self.norm = nn.LayerNorm(sizes.width)
        convolution = nn.Conv2d(sizes.width, sizes.width, 3, padding=1)
        self.conv_after_body = convolution if sizes.convolves else nn.Identity()
        add_tail(self, "pixelshuffle", width=sizes.width, inner=sizes.inner, scale=sizes.scale)

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        scale, window = self.sizes.scale, (self.sizes.window, self.sizes.window)
        mean = x.new_tensor(RGB_MEAN)[:, None, None]
        first = self.conv_first(padded(x - mean, window[0]))
        mask = shift_mask(first.shape[-2:], window, (window[0] // 2,) * 2, first)
        features = self.patch_embed["norm"](first.movedim(1, -1))
        for group in self.layers:
            features = group(features, mask)
        features = self.conv_after_body(self.norm(features).movedim(-1, 1)) + first
        return (enlarged(self, "pixelshuffle", features) + mean)[..., : height * scale, : width * scale]


def _recognises(shapes: Shapes) -> bool:
    wanted = {
        "conv_first.weight",
        BLOCKS.format(0) + "0.conv_block.cab.0.weight",
        OVERLAP.format(0) + "relative_position_bias_table",
    }
    return wanted <= shapes.keys()


def _design(shapes: Shapes, read: TensorReader) -> Design | str:
    del read
    if "absolute_pos_embed" in shapes:
        return "it has a map of places, and so works at one size only"
    block, groups = BLOCKS.format(0) + "0.", range(layers(shapes, "layers."))
    tables = [shapes[OVERLAP.format(group) + "relative_position_bias_table"] for group in groups]
    window = window_of(shapes, block + "attn.relative_position_bias_table")
    sizes = Sizes(
        width=shapes["conv_first.weight"][0],
        inner=shapes["conv_last.weight"][1],
        hidden=shapes[block + "mlp.fc1.weight"][0],
        compressed=shapes[block + "conv_block.cab.0.weight"][0],
        squeezed=shapes[block + "conv_block.cab.3.attention.1.weight"][0],
        window=window,
        seen=math.isqrt(tables[0][0]) - window + 1,
        depths=[layers(shapes, BLOCKS.format(group)) for group in groups],
        heads=[table[1] for table in tables],
        scale=tail_scale(shapes, "pixelshuffle"),
        biased=block + "attn.qkv.bias" in shapes,
        convolves="conv_after_body.weight" in shapes,
    )
    border = sizes.seen - sizes.window
    require(border >= 0, border % 2 == 0, *(sizes.width % heads == 0 for heads in sizes.heads))
    return Design(
        make=lambda: Hat(sizes),
        scale=sizes.scale,
        takes=shapes["conv_first.weight"][1],
        gives=shapes["conv_last.weight"][0],
        half=False,
        tile=256,
        spare=re.compile(r"relative_position_index_(SA|OCA)\Z"),
    )


ARCHITECTURE = Architecture(title="HAT", recognises=_recognises, design=_design)
