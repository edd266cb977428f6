"""SwinIR (Liang et al. 2021, arXiv 2108.10257): residual groups of Swin blocks, in all sizes and for all tasks."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

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
    SwinBlock,
    convolved,
    padded,
    residual_convolution,
    shift_mask,
    window_of,
)

GROUP = "layers.{}.residual_group.blocks."
JPEG_WINDOW, JPEG_RANGE = 7, 255.0
"""Models against JPEG's marks alone have windows of 7, and compute with colours up to 255."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """The sizes of a SwinIR. `depths` and `heads` are those of its groups."""

    width: int
    inner: int
    hidden: int
    window: int
    depths: Sequence[int]
    heads: Sequence[int]
    tail: Tail
    steps: int
    shuffle: int = 1
    three: bool = False
    biased: bool = True

    @property
    def scale(self) -> int:
        """How many times larger pictures get."""
        return self.steps // self.shuffle


class _Group(nn.Module):
    def __init__(self, sizes: Sizes, depth: int, heads: int) -> None:
        super().__init__()
        self.residual_group = nn.ModuleDict(
            {"blocks": nn.ModuleList(self._block(sizes, heads) for _ in range(depth))}
        )
        self.conv = residual_convolution(sizes.width, three=sizes.three)

    @staticmethod
    def _block(sizes: Sizes, heads: int) -> SwinBlock:
        return SwinBlock(sizes.width, sizes.hidden, sizes.window, heads, biased=sizes.biased)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        inner = x
        blocks: Any = self.residual_group["blocks"]
        for number, block in enumerate(blocks):
            inner = block(inner, mask if number % 2 else None)
        return x + convolved(inner, self.conv)


class SwinIr(nn.Module):
    """Pictures (batch, 3, height, width) in [0, 1] of any size, enlarged or mended."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.range = JPEG_RANGE if sizes.window == JPEG_WINDOW else 1.0
        self.conv_first = nn.Conv2d(3 * sizes.shuffle**2, sizes.width, 3, padding=1)
        self.patch_embed = nn.ModuleDict({"norm": nn.LayerNorm(sizes.width)})
        self.layers = nn.ModuleList(
            _Group(sizes, depth, heads) for depth, heads in zip(sizes.depths, sizes.heads, strict=True)
        )
        self.norm = nn.LayerNorm(sizes.width)
        self.conv_after_body = residual_convolution(sizes.width, three=sizes.three)
        add_tail(self, sizes.tail, width=sizes.width, inner=sizes.inner, scale=sizes.steps)

    def forward(self, x: Tensor) -> Tensor:
        sizes, (height, width) = self.sizes, x.shape[-2:]
        mean = x.new_tensor(RGB_MEAN)[:, None, None]
        x = (padded(x, sizes.window * sizes.shuffle) - mean) * self.range
        seen = functional.pixel_unshuffle(x, sizes.shuffle) if sizes.shuffle > 1 else x
        features = self._features(self.conv_first(seen))
        if sizes.tail:
            result = enlarged(self, sizes.tail, features)
        else:
            result = x + self.get_submodule("conv_last")(features)
        return (result / self.range + mean)[..., : height * sizes.scale, : width * sizes.scale]

    def _features(self, first: Tensor) -> Tensor:
        window = (self.sizes.window, self.sizes.window)
        mask = shift_mask(first.shape[-2:], window, (window[0] // 2,) * 2, first)
        x = self.patch_embed["norm"](first.movedim(1, -1))
        for group in self.layers:
            x = group(x, mask)
        result: Tensor = self.conv_after_body(self.norm(x).movedim(-1, 1)) + first
        return result


def _recognises(shapes: Shapes) -> bool:
    block = GROUP.format(0) + "0."
    wanted = {"conv_first.weight", block + "norm1.weight", block + "mlp.fc1.bias", block + "attn.qkv.weight"}
    return wanted <= shapes.keys() and block + "conv_block.cab.0.weight" not in shapes


def _rename(shapes: Shapes) -> Mapping[str, str]:
    """Files that put blocks of pixels into channels first have another number in their first layer's name."""
    return {name.replace("conv_first.1.", "conv_first."): name for name in shapes}


def _design(shapes: Shapes, read: TensorReader) -> Design | str:
    del read
    block, tail = GROUP.format(0) + "0.", tail_of(shapes)
    first = shapes["conv_first.weight"]
    groups = range(layers(shapes, "layers."))
    tables = [shapes[GROUP.format(group) + "0.attn.relative_position_bias_table"] for group in groups]
    shuffle = math.isqrt(first[1] // 3) if first[1] % 3 == 0 else 1
    sizes = Sizes(
        width=first[0],
        inner=shapes["conv_before_upsample.0.weight"][0] if "conv_before_upsample.0.weight" in shapes else 0,
        hidden=shapes[block + "mlp.fc1.weight"][0],
        window=window_of(shapes, block + "attn.relative_position_bias_table"),
        depths=[layers(shapes, GROUP.format(group)) for group in groups],
        heads=[table[1] for table in tables],
        tail=tail,
        steps=tail_scale(shapes, tail),
        shuffle=shuffle,
        three="conv_after_body.0.weight" in shapes,
        biased=block + "attn.qkv.bias" in shapes,
    )
    require(*(sizes.width % heads == 0 for heads in sizes.heads))
    last = shapes["conv_last.weight"][0] if tail != "pixelshuffledirect" else 3
    return Design(
        make=lambda: SwinIr(sizes),
        scale=sizes.scale,
        takes=first[1] // shuffle**2,
        gives=last,
        half=False,
        tile=256,
        spare=re.compile(r".*\.(attn_mask|relative_position_index)\Z"),
    )


ARCHITECTURE = Architecture(title="SwinIR", recognises=_recognises, design=_design, rename=_rename)
