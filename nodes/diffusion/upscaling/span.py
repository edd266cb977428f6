"""SPAN (Wan et al. 2023, arXiv 2311.12770): convolutions whose results weigh themselves, without further parameters."""

from __future__ import annotations

import math
import re
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from nodes.diffusion.layouts.unet import Shapes
from nodes.diffusion.upscaling.architecture import RGB_MEAN, Architecture, Design, TensorReader

BLOCKS = 6
WIDENED = 2
COLOUR_RANGE = 255.0


class _FoldedConvolution(nn.Module):
    """Three convolutions in a row beside one of a single pixel, which together are one of 3x3: so it is computed."""

    def __init__(self, takes: int, gives: int) -> None:
        super().__init__()
        self.sk = nn.Conv2d(takes, gives, 1)
        self.conv = nn.Sequential(
            nn.Conv2d(takes, takes * WIDENED, 1),
            nn.Conv2d(takes * WIDENED, gives * WIDENED, 3),
            nn.Conv2d(gives * WIDENED, gives, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = self._folded()
        return functional.conv2d(x, weight.to(x), bias.to(x), padding=1)

    def _folded(self) -> tuple[Tensor, Tensor]:
        steps: Any = self.conv
        (first, first_bias), (middle, middle_bias), (last, last_bias) = (
            (layer.weight.float(), layer.bias.float()) for layer in steps
        )
        inner = torch.einsum("mcyx,ci->miyx", middle, first[..., 0, 0])
        weight = torch.einsum("om,miyx->oiyx", last[..., 0, 0], inner)
        bias = last[..., 0, 0] @ (middle.sum((2, 3)) @ first_bias + middle_bias) + last_bias
        weight[..., 1, 1] += self.sk.weight.float()[..., 0, 0]
        return weight, bias + (0 if self.sk.bias is None else self.sk.bias.float())


class _Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.c1_r, self.c2_r, self.c3_r = (_FoldedConvolution(width, width) for _ in range(3))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The block's result, and what its first convolution gave, after its activation in place."""
        first = functional.silu(self.c1_r(x))
        last = self.c3_r(functional.silu(self.c2_r(first)))
        return (last + x) * (torch.sigmoid(last) - 0.5), first


class Span(nn.Module):
    """Pictures (batch, 3, height, width) in [0, 1], enlarged. With `centred` the mean colour is subtracted first."""

    def __init__(self, *, width: int, scale: int, centred: bool) -> None:
        super().__init__()
        self.centred = centred
        self.conv_1 = _FoldedConvolution(3, width)
        for number in range(BLOCKS):
            self.add_module(f"block_{number + 1}", _Block(width))
        self.conv_cat = nn.Conv2d(4 * width, width, 1)
        self.conv_2 = _FoldedConvolution(width, width)
        self.upsampler = nn.Sequential(nn.Conv2d(width, 3 * scale**2, 3, padding=1), nn.PixelShuffle(scale))

    def forward(self, x: Tensor) -> Tensor:
        if self.centred:
            x = (x - x.new_tensor(RGB_MEAN)[:, None, None]) * COLOUR_RANGE
        features = self.conv_1(x)
        results, firsts = [features], []
        for number in range(BLOCKS):
            result, first = getattr(self, f"block_{number + 1}")(results[-1])
            results.append(result)
            firsts.append(first)
        joined = torch.cat([features, self.conv_2(results[-1]), results[1], firsts[-1]], dim=1)
        enlarged: Tensor = self.upsampler(self.conv_cat(joined))
        return enlarged


def _recognises(shapes: Shapes) -> bool:
    return {
        "conv_1.sk.weight",
        "block_1.c1_r.sk.weight",
        "conv_cat.weight",
        "upsampler.0.weight",
    } <= shapes.keys()


def _design(shapes: Shapes, read: TensorReader) -> Design | str:
    del read
    first, last = shapes["conv_1.sk.weight"], shapes["upsampler.0.weight"]
    scale = math.isqrt(last[0] // 3)
    return Design(
        make=lambda: Span(width=first[0], scale=scale, centred="no_norm" not in shapes),
        scale=scale,
        takes=first[1],
        gives=last[0] // max(scale, 1) ** 2,
        spare=re.compile(r"(.*\.eval_conv\.(weight|bias)|no_norm)\Z"),
    )


ARCHITECTURE = Architecture(title="SPAN", recognises=_recognises, design=_design)
