"""Deterministic arithmetic: the same bytes from the same work on the same kind of device."""

from __future__ import annotations

import os

import torch


def be_deterministic() -> None:
    """Make torch choose deterministic algorithms in this process.

    Where an operation has none, torch warns and the result may differ in its last bits. Convolutions are not tuned
    by timing, and matrix products keep full precision.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
