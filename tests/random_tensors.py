"""Random tensors that are the same in every run."""

from __future__ import annotations

import torch
from torch import Tensor


def seeded(*shape: int, seed: int = 0) -> Tensor:
    """Standard normal values."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def seeded_pixels(*shape: int, seed: int = 0) -> Tensor:
    """Values in [0, 1) that eight bits hold exactly."""
    levels = torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(seed))
    return levels.float() / 255
