"""What is done to latents outside sampling: made, checked, cut, joined, put into each other.

Samples have the shape (batch, channels, height, width); masks and batch indices go along where they can.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from graphcore.errors import InputError
from nodes.diffusion.resizing import resize
from nodes.values import Latent

CELL = 8


def empty_latent(width: int, height: int, batch_size: int, *, channels: int = 4) -> Latent:
    """A latent of zeros for pictures of `width` x `height` pixels, cut to whole cells of 8."""
    return Latent(torch.zeros(batch_size, channels, height // CELL, width // CELL))


def require_finite(samples: Tensor, what: str) -> None:
    """Raise InputError if samples hold NaN or infinity."""
    if not bool(torch.isfinite(samples).all()):
        raise InputError(
            f"{what} holds values that are not finite (NaN or infinity), so what made it went wrong; "
            "use another sampler or a lower cfg, or compute in fp32 (--dtype fp32).",
            code="not-finite",
        )


def in_batch(mask: Tensor, batch: int) -> Tensor:
    """A mask (n, height, width) with one row for each of `batch` samples, repeated in turn."""
    return mask if mask.shape[0] == batch else mask.repeat(-(-batch // mask.shape[0]), 1, 1)[:batch]


def repeated(latent: Latent, amount: int) -> Latent:
    """The batch `amount` times over; the copies get noise of their own."""
    count = latent.samples.shape[0]
    mask = latent.noise_mask
    if mask is not None and mask.shape[0] > 1:
        mask = in_batch(mask, count).repeat(amount, 1, 1)
    index = latent.batch_index
    if index is not None:
        step = max(index) - min(index) + 1
        index = tuple(number + copy * step for copy in range(amount) for number in index)
    return replace(latent, samples=latent.samples.repeat(amount, 1, 1, 1), noise_mask=mask, batch_index=index)


def cut_out(latent: Latent, start: int, length: int) -> Latent:
    """`length` samples from number `start`; both are held within the batch. They keep their noise."""
    count = latent.samples.shape[0]
    first = min(count - 1, start)
    last = first + min(count - first, length)
    mask = latent.noise_mask
    if mask is not None:
        mask = mask.clone() if mask.shape[0] == 1 else in_batch(mask, count)[first:last].clone()
    index = latent.batch_index or tuple(range(count))
    return Latent(latent.samples[first:last].clone(), mask, index[first:last])


def joined(latents: Sequence[Latent]) -> Latent:
    """Several latents as one batch, resized to the first one's size; each keeps the noise that it had by itself."""
    if not latents:
        raise InputError("There is no latent in the list; give at least one.", code="empty-list")
    first = latents[0].samples
    for latent in latents:
        _require_channels(first, latent.samples)
    size = first.shape[-2:]
    samples = [_sized(latent.samples, size) for latent in latents]
    numbers: list[int] = []
    for latent in latents:
        numbers.extend(latent.batch_index or range(latent.samples.shape[0]))
    return Latent(torch.cat(samples), _joined_masks(latents, size), tuple(numbers))


def _joined_masks(latents: Sequence[Latent], size: torch.Size) -> Tensor | None:
    if all(latent.noise_mask is None for latent in latents):
        return None
    target = torch.Size(side * CELL for side in size)
    masks = []
    for latent in latents:
        count = latent.samples.shape[0]
        if latent.noise_mask is None:
            masks.append(torch.ones(count, *target))
        else:
            mask = resize(latent.noise_mask[:, None], target[1], target[0], "bilinear")[:, 0]
            masks.append(in_batch(mask, count))
    return torch.cat(masks)


def _sized(samples: Tensor, size: Sequence[int]) -> Tensor:
    if samples.shape[-2:] == tuple(size):
        return samples
    return resize(samples, size[1], size[0], "bilinear", crop=True)


def matched(first: Latent, second: Latent) -> tuple[Tensor, Tensor]:
    """The samples of both, the second resized and repeated to the first one's shape."""
    one, other = first.samples, second.samples
    _require_channels(one, other)
    other = _sized(other, one.shape[-2:])
    count = one.shape[0]
    return one, other.repeat(-(-count // other.shape[0]), 1, 1, 1)[:count]


def _require_channels(one: Tensor, other: Tensor) -> None:
    if one.shape[1] != other.shape[1]:
        raise InputError(
            f"One latent has {one.shape[1]} channels and the other {other.shape[1]}; latents of different model "
            "families cannot be put together.",
            code="mismatched-latents",
        )


def interpolated(first: Latent, second: Latent, ratio: float) -> Latent:
    """Between two latents: directions mixed with `ratio` of the first, then lengths likewise."""
    one, other = matched(first, second)
    length_one, length_other = (torch.linalg.vector_norm(each, dim=1, keepdim=True) for each in (one, other))
    mixed = (one / length_one).nan_to_num() * ratio + (other / length_other).nan_to_num() * (1 - ratio)
    direction = (mixed / torch.linalg.vector_norm(mixed, dim=1, keepdim=True)).nan_to_num()
    return replace(first, samples=direction * (length_one * ratio + length_other * (1 - ratio)))


def flipped(latent: Latent, axis: Literal["x", "y"]) -> Latent:
    """Turned over its horizontal ("x") or vertical ("y") axis."""
    dim = -2 if axis == "x" else -1
    mask = None if latent.noise_mask is None else latent.noise_mask.flip(dim)
    return replace(latent, samples=latent.samples.flip(dim), noise_mask=mask)


def rotated(latent: Latent, quarters: int) -> Latent:
    """Turned clockwise by so many quarters."""
    mask = None if latent.noise_mask is None else latent.noise_mask.rot90(-quarters, (-2, -1))
    return replace(latent, samples=latent.samples.rot90(-quarters, (-2, -1)), noise_mask=mask)


def cropped_to(latent: Latent, width: int, height: int, x: int, y: int) -> Latent:
    """A rectangle, in pixels; it is moved inside, and keeps at least 8 cells from the far edges."""
    rows, columns = latent.samples.shape[-2:]
    left, top = max(min(x // CELL, columns - 8), 0), max(min(y // CELL, rows - 8), 0)
    right, bottom = left + width // CELL, top + height // CELL
    mask = latent.noise_mask
    if mask is not None:
        scaled = resize(mask[:, None], columns * CELL, rows * CELL, "bilinear")[:, 0]
        mask = scaled[:, top * CELL : bottom * CELL, left * CELL : right * CELL].contiguous()
    samples = latent.samples[:, :, top:bottom, left:right].contiguous()
    return replace(latent, samples=samples, noise_mask=mask)


def pasted(destination: Tensor, source: Tensor, x: int, y: int, mask: Tensor | None) -> Tensor:
    """`source` put into `destination` (both (batch, channels, height, width)) at x, y; it may hang over.

    `mask` (n, height, width), stretched over the source, says how much of it is taken. Raises InputError if the two
    have other numbers of channels.
    """
    if source.shape[1] != destination.shape[1]:
        raise InputError(
            f"A latent of {source.shape[1]} channels cannot be put into one of {destination.shape[1]}; use latents of "
            "one family of models.",
            code="latent-channels",
        )
    rows, columns = destination.shape[-2:]
    height, width = source.shape[-2:]
    top, left = max(y, 0), max(x, 0)
    bottom, right = min(y + height, rows), min(x + width, columns)
    result = destination.clone()
    if top >= bottom or left >= right:
        return result
    count = destination.shape[0]
    part = source.repeat(-(-count // source.shape[0]), 1, 1, 1)[:count]
    part = part[:, :, top - y : bottom - y, left - x : right - x]
    if mask is None:
        result[:, :, top:bottom, left:right] = part
        return result
    stretched = resize(mask[:, None], width, height, "bilinear")[:, 0]
    weight = in_batch(stretched, count)[:, None, top - y : bottom - y, left - x : right - x]
    kept = result[:, :, top:bottom, left:right]
    result[:, :, top:bottom, left:right] = part * weight + kept * (1 - weight)
    return result


def feathered(height: int, width: int, feather: int, sides: Sequence[bool]) -> Tensor:
    """A mask (1, height, width) that rises linearly over `feather` cells from the chosen sides.

    `sides` are left, top, right, bottom.
    """
    mask = torch.ones(1, height, width)
    left, top, right, bottom = sides
    for place in range(feather):
        share = (place + 1) / feather
        if top and place < height:
            mask[:, place] *= share
        if bottom and place < height:
            mask[:, height - 1 - place] *= share
        if left and place < width:
            mask[:, :, place] *= share
        if right and place < width:
            mask[:, :, width - 1 - place] *= share
    return mask


def beside(first: Latent, second: Latent, dim: str, *, second_first: bool) -> Latent:
    """Two latents side by side along "x" or "y"; the second is repeated to the first one's batch."""
    one, other = first.samples, second.samples
    _require_channels(one, other)
    axis, across = _axes(dim)
    if one.shape[across] != other.shape[across]:
        raise InputError(
            f"One latent has {one.shape[across]} cells along that side and the other {other.shape[across]}; "
            "resize one of them.",
            code="mismatched-latents",
        )
    other = other.repeat(-(-one.shape[0] // other.shape[0]), 1, 1, 1)[: one.shape[0]]
    return Latent(torch.cat([other, one] if second_first else [one, other], dim=axis))


def strip(latent: Latent, dim: str, index: int, amount: int) -> Latent:
    """`amount` columns ("x") or rows ("y") from number `index`, held within the latent."""
    axis, _ = _axes(dim)
    length = latent.samples.shape[axis]
    start = min(index, length - 1) if index >= 0 else max(length + index, 0)
    return Latent(latent.samples.narrow(axis, start, min(amount, length - start)).contiguous())


def sliced(latent: Latent, dim: str, size: int) -> Latent:
    """Slices along "x" or "y" as a batch, those of the first sample first."""
    axis, _ = _axes(dim)
    size = min(size, latent.samples.shape[axis])
    whole = latent.samples.shape[axis] // size * size
    parts = [latent.samples.narrow(axis, start, size) for start in range(0, whole, size)]
    return Latent(torch.stack(parts, dim=1).flatten(0, 1))


def _axes(dim: str) -> tuple[int, int]:
    return (-1, -2) if dim == "x" else (-2, -1)


def require_alike(one: Tensor, other: Tensor) -> None:
    """Raise InputError unless samples have the same channels and size."""
    _require_channels(one, other)
    if one.shape[2:] != other.shape[2:]:
        raise InputError(
            f"One latent has {one.shape[-2]} x {one.shape[-1]} cells and the other {other.shape[-2]} x "
            f"{other.shape[-1]}; resize one of them.",
            code="mismatched-latents",
        )


def evened_start(latent: Latent, count: int, references: int) -> Latent:
    """The first `count` frames with about the mean and deviation of the `references` frames after them.

    Each frame is moved by its own mean and deviation, held near to what it had. Without frames after them nothing
    changes.
    """
    start, later = latent.samples[:count], latent.samples[count : count + references]
    if not len(later):
        return latent
    dims = tuple(range(1, start.ndim))
    mean, deviation = start.mean(dims, keepdim=True), start.std(dims, keepdim=True)
    new_mean = torch.clamp(later.mean(), mean - 0.3, mean + 0.35)
    new_deviation = torch.clamp(later.std(), deviation - 0.35, deviation + 0.5)
    evened = (start - mean) / (deviation + 1e-8) * new_deviation + new_mean
    return replace(latent, samples=torch.cat([evened, latent.samples[count:]]))
