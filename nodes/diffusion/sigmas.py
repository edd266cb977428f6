"""Sigmas that come from people, not from a schedule."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor


def from_numbers(numbers: Sequence[float]) -> Tensor:
    """Float32 sigmas of these numbers."""
    return torch.tensor(numbers, dtype=torch.float32)


def parted(sigmas: Tensor, steps: int, start: float, end: float, spacing: str) -> Tensor:
    """The sigmas with each step that begins between `end` and `start` parted into `steps`.

    Spacing is "linear", "cosine" (sin of the share of a quarter turn) or "sine" (1 - cos of it).
    """
    share = torch.linspace(0, 1, steps + 1)[1:-1]
    if spacing != "linear":
        quarter = share * torch.pi / 2
        share = quarter.sin() if spacing == "cosine" else 1 - quarter.cos()
    pieces: list[Tensor] = []
    for current, following in pairwise(sigmas):
        pieces.append(current.reshape(1))
        if end <= float(current) <= start:
            pieces.append(share * (following - current) + current)
    return torch.cat([*pieces, sigmas[-1:]])
