"""Sigmas that come from people, not from a schedule."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def from_numbers(numbers: Sequence[float]) -> Tensor:
    """Float32 sigmas of these numbers."""
    return torch.tensor(numbers, dtype=torch.float32)
