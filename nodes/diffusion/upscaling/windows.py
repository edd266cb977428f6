"""Attention within windows (Liu et al. 2021, "Swin Transformer"), for pictures of any size."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from nodes.diffusion.layouts.unet import Shapes

FAR = -100.0
"""What is added to the likeness of places that a shift has put side by side, though they are far apart."""


def padded(x: Tensor, multiple: int) -> Tensor:
    """Pictures (batch, channels, height, width) with sides filled up, on the right and below, as in a mirror."""
    height, width = x.shape[-2:]
    below, right = -height % multiple, -width % multiple
    if not below and not right:
        return x
    mirrors = below < height and right < width
    return functional.pad(x, (0, right, 0, below), mode="reflect" if mirrors else "replicate")


def cut(x: Tensor, height: int, width: int) -> Tensor:
    """Maps (batch, rows, columns, channels) as windows (batch * windows, height * width, channels)."""
    batch, rows, columns, channels = x.shape
    parts = x.reshape(batch, rows // height, height, columns // width, width, channels)
    return parts.transpose(2, 3).reshape(-1, height * width, channels)


def joined(windows: Tensor, height: int, width: int, rows: int, columns: int) -> Tensor:
    """The map (batch, rows, columns, channels) that windows were cut from."""
    parts = windows.reshape(-1, rows // height, columns // width, height, width, windows.shape[-1])
    return parts.transpose(2, 3).reshape(-1, rows, columns, windows.shape[-1])


def shift_mask(size: Sequence[int], window: tuple[int, int], shift: tuple[int, int], like: Tensor) -> Tensor:
    """What windows (windows, places, places) of a shifted map add to likenesses: `FAR` where a border lies between."""
    (rows, columns), (height, width) = size, window
    down = _bands(rows, height, shift[0])
    across = _bands(columns, width, shift[1])
    areas = (3 * down[:, None] + across)[None, :, :, None]
    numbers = cut(areas, height, width)[..., 0]
    return ((numbers[:, None] != numbers[:, :, None]) * FAR).to(like)


def _bands(length: int, window: int, shift: int) -> Tensor:
    places = torch.arange(length)
    return (places >= length - window).long() + (places >= length - shift).long()


def relative_index(height: int, width: int) -> Tensor:
    """For each pair of places of a window (places, places), the row of the bias table for their distance."""
    down, across = torch.arange(height), torch.arange(width)
    rows = down.repeat_interleave(width)
    columns = across.repeat(height)
    far_down = rows[:, None] - rows + height - 1
    far_across = columns[:, None] - columns + width - 1
    return far_down * (2 * width - 1) + far_across


def attention(q: Tensor, k: Tensor, v: Tensor, bias: Tensor, mask: Tensor | None) -> Tensor:
    """Attention of windows (windows, heads, places, width), with a bias (heads, places, places) of distances.

    `mask` (windows of one picture, places, places) is added to it. The result is (windows, places, heads * width).
    """
    likeness = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1) + bias
    if mask is not None:
        own = likeness.reshape(-1, len(mask), *likeness.shape[1:])
        likeness = (own + mask[:, None]).reshape(likeness.shape)
    found: Tensor = likeness.softmax(dim=-1) @ v
    return found.transpose(1, 2).flatten(2)


def headed(windows: Tensor, heads: int) -> Tensor:
    """Windows (windows, places, channels) with their channels parted: (windows, heads, places, channels)."""
    return windows.reshape(*windows.shape[:2], heads, -1).transpose(1, 2)


class WindowAttention(nn.Module):
    """Self-attention within square windows with a learned bias for distances; its names are those of Swin's files."""

    def __init__(self, width: int, window: int, heads: int, *, biased: bool = True) -> None:
        super().__init__()
        self.window, self.heads = window, heads
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * window - 1) ** 2, heads))
        self.qkv = nn.Linear(width, 3 * width, bias=biased)
        self.proj = nn.Linear(width, width)

    def forward(self, windows: Tensor, mask: Tensor | None) -> Tensor:
        count, places, width = windows.shape
        heads = self.qkv(windows).reshape(count, places, 3, self.heads, width // self.heads)
        q, k, v = heads.permute(2, 0, 3, 1, 4)
        index = relative_index(self.window, self.window).to(windows.device)
        bias = self.relative_position_bias_table[index].permute(2, 0, 1)
        result: Tensor = self.proj(attention(q, k, v, bias, mask))
        return result


def attended(x: Tensor, attention: WindowAttention, mask: Tensor | None) -> Tensor:
    """A map (batch, rows, columns, channels) after attention within windows; a mask says that they are shifted."""
    window = attention.window
    shift = window // 2 if mask is not None else 0
    turned = torch.roll(x, (-shift, -shift), dims=(1, 2)) if shift else x
    windows = attention(cut(turned, window, window), mask)
    result = joined(windows, window, window, *x.shape[1:3])
    return torch.roll(result, (shift, shift), dims=(1, 2)) if shift else result


class ChannelNorm(nn.LayerNorm):
    """A layer norm over channels, which come first."""

    def __init__(self, width: int) -> None:
        super().__init__(width, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


class FeedForward(nn.Module):
    """Two layers for each place, as transformers have them."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.fc2(functional.gelu(self.fc1(x)))
        return result


class SwinBlock(nn.Module):
    """Attention within windows, shifted if there is a mask, and two layers for each place."""

    def __init__(self, width: int, hidden: int, window: int, heads: int, *, biased: bool = True) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn = WindowAttention(width, window, heads, biased=biased)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = FeedForward(width, hidden)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        x = x + attended(self.norm1(x), self.attn, mask)
        result: Tensor = x + self.mlp(self.norm2(x))
        return result


def window_of(shapes: Shapes, table: str) -> int:
    """The side of the windows that a bias table is for."""
    return (math.isqrt(shapes[table][0]) + 1) // 2


def convolved(x: Tensor, convolution: nn.Module) -> Tensor:
    """A map with channels last after a convolution."""
    result: Tensor = convolution(x.movedim(-1, 1)).movedim(1, -1)
    return result


def residual_convolution(width: int, *, three: bool) -> nn.Module:
    """The convolution at the end of a group of blocks, or three through a quarter of the channels."""
    if not three:
        return nn.Conv2d(width, width, 3, padding=1)
    return nn.Sequential(
        nn.Conv2d(width, width // 4, 3, padding=1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(width // 4, width // 4, 1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(width // 4, width, 3, padding=1),
    )
