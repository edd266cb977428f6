"""Operations on masks (batch, height, width) in [0, 1]."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from graphcore.errors import InputError
from nodes.diffusion.latents import in_batch
from nodes.diffusion.resizing import resize


def solid(value: float, width: int, height: int) -> Tensor:
    """One mask of one value."""
    return torch.full((1, height, width), value)


def dilated(mask: Tensor, by: int, *, tapered: bool) -> Tensor:
    """Grey dilation by `by` pixels, erosion where it is negative; `tapered` has a cross as its element."""
    sign = 1.0 if by >= 0 else -1.0
    values = mask * sign
    for _ in range(min(abs(by), sum(mask.shape[1:]))):
        values = _cross_maximum(values) if tapered else functional.max_pool2d(values, 3, stride=1, padding=1)
    return values * sign


def _cross_maximum(values: Tensor) -> Tensor:
    column = functional.max_pool2d(values, (3, 1), stride=1, padding=(1, 0))
    row = functional.max_pool2d(values, (1, 3), stride=1, padding=(0, 1))
    return torch.maximum(column, row)


def faded(mask: Tensor, left: int, top: int, right: int, bottom: int) -> Tensor:
    """Linear ramps from each side inwards, over so many pixels."""
    height, width = mask.shape[1:]
    across = _ramp(width, left) * _ramp(width, right).flip(0)
    down = _ramp(height, top) * _ramp(height, bottom).flip(0)
    return mask * down[:, None] * across


def _ramp(length: int, over: int) -> Tensor:
    over = min(over, length)
    ramp = torch.ones(length)
    if over:
        ramp[:over] = (torch.arange(over) + 1) / over
    return ramp


def combined(destination: Tensor, source: Tensor, x: int, y: int, operation: str) -> Tensor:
    """`source` over `destination` at x, y; and, or, xor take both as 0 or 1."""
    result = destination.clone()
    right = min(x + source.shape[2], destination.shape[2])
    bottom = min(y + source.shape[1], destination.shape[1])
    if right <= x or bottom <= y:
        return result
    base = result[:, y:bottom, x:right]
    over = in_batch(source, destination.shape[0])[:, : bottom - y, : right - x]
    result[:, y:bottom, x:right] = _outcome(base, over, operation)
    return result.clamp(0, 1)


def _outcome(base: Tensor, over: Tensor, operation: str) -> Tensor:
    first, second = base.round().bool(), over.round().bool()
    match operation:
        case "multiply":
            return base * over
        case "add":
            return base + over
        case "subtract":
            return base - over
        case "and":
            return (first & second).float()
        case "or":
            return (first | second).float()
        case _:
            return (first ^ second).float()


def joined(masks: Sequence[Tensor]) -> Tensor:
    """Several batches as one, all resized to the first one's size; raises InputError for none."""
    if not masks:
        raise InputError("There is no mask in the list; give at least one.", code="empty-list")
    height, width = masks[0].shape[1:]
    return torch.cat([resize(mask[:, None], width, height, "bilinear")[:, 0] for mask in masks])


def where_color(pixels: Tensor, color: int) -> Tensor:
    """1 where 8-bit pixels (batch, height, width, 3) are 0xRRGGBB."""
    levels = (pixels.clamp(0, 1) * 255).round().int()
    numbers = (levels[..., 0] << 16) + (levels[..., 1] << 8) + levels[..., 2]
    return (numbers == color).float()
