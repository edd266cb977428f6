"""Orthogonal fine-tuning: adapters that turn the rows of a weight instead of adding to them.

OFT (Qiu et al. 2023) turns each block of rows by itself. BOFT (Liu et al. 2024) does so several times, and shuffles the
rows between two times like the butterflies of a fast Fourier transform. Rotations are Cayley transforms of what files
hold (`oft_blocks`); the optional `rescale` then stretches each row.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

_EPSILON = 1e-8


def turned(weight: Tensor, tensors: Mapping[str, Tensor], strength: float) -> Tensor:
    """The weight (rows, ...) turned by `blocks`, (count, side, side) or (times, count, side, side), as float32.

    `alpha` times the number of rows limits how far; `strength` blends each rotation with none. Raises RuntimeError if
    the blocks do not make up the rows.
    """
    blocks = tensors["blocks"].float()
    rotations = _cayley(blocks, float(tensors.get("alpha", 0.0)) * weight.shape[0])
    none = torch.eye(blocks.shape[-1], device=blocks.device)
    rotations = none + strength * (rotations - none)
    result = weight.float()
    if blocks.ndim == 3:
        rows = result.reshape(*blocks.shape[:2], *result.shape[1:])
        result = torch.einsum("knm,kn...->km...", rotations, rows).flatten(0, 1)
    else:
        for number, rotation in enumerate(rotations):
            result = _butterfly(result, rotation, 2**number * blocks.shape[-1] // 2)
    scale = tensors.get("rescale")
    if scale is None:
        return result
    stretch = 1 + strength * (scale.float().reshape(-1, *[1] * (weight.ndim - 1)) - 1)
    return result * stretch


def _cayley(blocks: Tensor, limit: float) -> Tensor:
    """Rotations (I + Q) / (I - Q) of the skew-symmetric parts Q, whose norm is at most `limit` (0: any)."""
    skew = blocks - blocks.transpose(-1, -2)
    if limit > 0:
        norm = skew.norm() + _EPSILON
        skew = skew * (limit / norm).clamp_max(1.0)
    identity = torch.eye(skew.shape[-1], device=skew.device).expand_as(skew)
    rotations: Tensor = torch.linalg.solve(identity - skew, identity + skew, left=False)
    return rotations


def _butterfly(rows: Tensor, rotation: Tensor, stride: int) -> Tensor:
    """Rows that are `stride` apart come together, blocks are turned, and the rows go back."""
    inner = rows.shape[1:]
    mixed = rows.reshape(-1, 2, stride, *inner).transpose(1, 2).flatten(0, 2)
    blocks = mixed.reshape(-1, rotation.shape[-1], *inner)
    mixed = torch.einsum("bij,bj...->bi...", rotation, blocks).flatten(0, 1)
    return mixed.reshape(-1, stride, 2, *inner).transpose(1, 2).flatten(0, 2)
