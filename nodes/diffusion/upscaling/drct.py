"""DRCT (Hsu et al. 2024, arXiv 2404.00722): Swin blocks that see the results of all before them in their group."""

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
from nodes.diffusion.upscaling.tails import add_tail, enlarged, tail_scale
from nodes.diffusion.upscaling.windows import SwinBlock, convolved, padded, shift_mask, window_of

BLOCKS = 5
RESIDUAL = 0.2
TABLE = "layers.{}.swin{}.attn.relative_position_bias_table"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """The sizes of a DRCT; `hidden` and `heads` are those of each block of each group. Without `shifts` no window is
    shifted, as where training pictures were one window.
    """

    width: int
    growth: int
    inner: int
    window: int
    hidden: Sequence[Sequence[int]]
    heads: Sequence[Sequence[int]]
    scale: int
    biased: bool
    shifts: bool
    convolves: bool


class _Group(nn.Module):
    def __init__(self, sizes: Sizes, group: int) -> None:
        super().__init__()
        for number in range(BLOCKS):
            width = sizes.width + number * sizes.growth
            block = SwinBlock(
                width,
                sizes.hidden[group][number],
                sizes.window,
                sizes.heads[group][number],
                biased=sizes.biased,
            )
            gives = sizes.growth if number < BLOCKS - 1 else sizes.width
            self.add_module(f"swin{number + 1}", block)
            self.add_module(f"adjust{number + 1}", nn.Conv2d(width, gives, 1))

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        layers, seen = dict(self.named_children()), x
        for number in range(1, BLOCKS):
            block = layers[f"swin{number}"](seen, mask if number % 2 == 0 else None)
            new = functional.leaky_relu(convolved(block, layers[f"adjust{number}"]), 0.2)
            seen = torch.cat([seen, new], dim=-1)
        last = convolved(layers[f"swin{BLOCKS}"](seen, None), layers[f"adjust{BLOCKS}"])
        return last * RESIDUAL + x


class Drct(nn.Module):
    """Pictures (batch, 3, height, width) in [0, 1] of any size, enlarged."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.conv_first = nn.Conv2d(3, sizes.width, 3, padding=1)
        self.patch_embed = nn.ModuleDict({"norm": nn.LayerNorm(sizes.width)})
        self.layers = nn.ModuleList(_Group(sizes, group) for group in range(len(sizes.heads)))
        self.norm = nn.LayerNorm(sizes.width)
        convolution = nn.Conv2d(sizes.width, sizes.width, 3, padding=1)
        self.conv_after_body = convolution if sizes.convolves else nn.Identity()
        add_tail(self, "pixelshuffle", width=sizes.width, inner=sizes.inner, scale=sizes.scale)

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        scale, window = self.sizes.scale, (self.sizes.window, self.sizes.window)
        mean = x.new_tensor(RGB_MEAN)[:, None, None]
        first = self.conv_first(padded(x - mean, window[0]))
        shift = (window[0] // 2,) * 2
        mask = shift_mask(first.shape[-2:], window, shift, first) if self.sizes.shifts else None
        features = self.patch_embed["norm"](first.movedim(1, -1))
        for group in self.layers:
            features = group(features, mask)
        features = self.conv_after_body(self.norm(features).movedim(-1, 1)) + first
        return (enlarged(self, "pixelshuffle", features) + mean)[..., : height * scale, : width * scale]


def _recognises(shapes: Shapes) -> bool:
    return {"conv_first.weight", "layers.0.swin1.norm1.weight", "layers.0.adjust5.weight"} <= shapes.keys()


def _design(shapes: Shapes, read: TensorReader) -> Design | str:
    del read
    if "absolute_pos_embed" in shapes:
        return "it has a map of places, and so works at one size only"
    groups, blocks = range(layers(shapes, "layers.")), range(1, BLOCKS + 1)
    indexed = "layers.0.swin1.attn.relative_position_index" in shapes
    sizes = Sizes(
        width=shapes["conv_first.weight"][0],
        growth=shapes["layers.0.adjust1.weight"][0],
        inner=shapes["conv_last.weight"][1],
        window=window_of(shapes, TABLE.format(0, 1)),
        hidden=[[shapes[f"layers.{g}.swin{b}.mlp.fc1.weight"][0] for b in blocks] for g in groups],
        heads=[[shapes[TABLE.format(group, block)][1] for block in blocks] for group in groups],
        scale=tail_scale(shapes, "pixelshuffle"),
        biased="layers.0.swin1.attn.qkv.bias" in shapes,
        shifts="layers.0.swin2.attn_mask" in shapes or not indexed,
        convolves="conv_after_body.weight" in shapes,
    )
    widths = [sizes.width + number * sizes.growth for number in range(BLOCKS)]
    require(*(w % heads == 0 for group in sizes.heads for w, heads in zip(widths, group, strict=True)))
    return Design(
        make=lambda: Drct(sizes),
        scale=sizes.scale,
        takes=shapes["conv_first.weight"][1],
        gives=shapes["conv_last.weight"][0],
        half=False,
        tile=256,
        spare=re.compile(r".*\.(attn_mask|relative_position_index)\Z"),
    )


ARCHITECTURE = Architecture(title="DRCT", recognises=_recognises, design=_design)
