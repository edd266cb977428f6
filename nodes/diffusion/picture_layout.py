"""Pictures (batch, height, width, channels) beside each other and inside frames."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor

from nodes.diffusion.picture_batches import checked_verdicts, resized
from nodes.diffusion.resizing import require_room
from nodes.values import Image, SafetyVerdict

COLORS: Final[Mapping[str, tuple[float, float, float]]] = {
    "white": (1.0, 1.0, 1.0),
    "black": (0.0, 0.0, 0.0),
    "red": (1.0, 0.0, 0.0),
    "green": (0.0, 1.0, 0.0),
    "blue": (0.0, 0.0, 1.0),
}


def stitched(
    first: Image, second: Image, direction: str, *, resize_second: bool, spacing: int, color: str
) -> Image:
    """`second` on one side of `first`; the shorter batch goes on with its last picture."""
    count = max(first.pixels.shape[0], second.pixels.shape[0])
    across = direction in ("left", "right")
    if resize_second:
        second = _as_long(first, second, across)
    one, other = _lengthened(first.pixels, count), _lengthened(second.pixels, count)
    channels = min(one.shape[-1], other.shape[-1])
    side = 1 if across else 2
    longest = max(one.shape[side], other.shape[side])
    parts = [_centred(part[..., :channels], longest, side) for part in (one, other)]
    if spacing:
        shape = list(parts[0].shape)
        shape[3 - side] = spacing
        bar = torch.tensor([*COLORS[color], 1.0])[:channels].expand(shape)
        parts.insert(1, bar.to(one))
    whole = torch.cat(parts if direction in ("right", "down") else parts[::-1], dim=3 - side)
    require_room(*whole.shape[:3])
    verdicts = zip(_spread(first, count), _spread(second, count), strict=True)
    known = first.verdicts or second.verdicts
    return Image(whole, tuple(two if two.flagged else one for one, two in verdicts) if known else ())


def _as_long(first: Image, second: Image, across: bool) -> Image:
    height, width = first.pixels.shape[1:3]
    rows, columns = second.pixels.shape[1:3]
    if across:
        return resized(second, max(1, int(height * columns / rows)), height, "lanczos")
    return resized(second, width, max(1, int(width * rows / columns)), "lanczos")


def _lengthened(pixels: Tensor, count: int) -> Tensor:
    more = count - pixels.shape[0]
    return pixels if not more else torch.cat([pixels, pixels[-1:].expand(more, -1, -1, -1)])


def _spread(image: Image, count: int) -> tuple[SafetyVerdict, ...]:
    verdicts = checked_verdicts(image)
    return (*verdicts, *[verdicts[-1]] * (count - len(verdicts)))


def _centred(pixels: Tensor, length: int, side: int) -> Tensor:
    more = length - pixels.shape[side]
    if not more:
        return pixels
    shape = list(pixels.shape)
    shape[side] = length
    wide = torch.zeros(shape).to(pixels)
    wide.narrow(side, more // 2, pixels.shape[side]).copy_(pixels)
    return wide


def framed(image: Image, width: int, height: int, color: str, method: str) -> Image:
    """Pictures as large as they fit into `width` x `height`, in the middle, on a colour."""
    count, rows, columns, channels = image.pixels.shape
    require_room(count, width, height)
    scale = min(width / columns, height / rows)
    across, down = max(1, int(columns * scale)), max(1, int(rows * scale))
    small = resized(image, across, down, method)
    frame = torch.full((count, height, width, channels), COLORS[color][0]).to(image.pixels)
    left, top = (width - across) // 2, (height - down) // 2
    frame[:, top : top + down, left : left + across] = small.pixels
    return Image(frame, image.verdicts)
