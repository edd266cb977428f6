"""Arithmetic on text embeddings."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from graphcore.errors import InputError
from nodes.values import Conditioning, ConditioningEntry


def appended(first: Conditioning, second: Conditioning) -> Conditioning:
    """The tokens of the second's first entry after those of each entry of the first."""
    other = _single(second).embeddings
    entries = []
    for entry in first.entries:
        one, two = _alike(entry.embeddings, other)
        entries.append(replace(entry, embeddings=torch.cat([one, two], dim=1)))
    return Conditioning(tuple(entries))


def averaged(first: Conditioning, second: Conditioning, strength: float) -> Conditioning:
    """`strength` of the first and the rest of the second's first entry, cut or filled with 0 to its length."""
    other = _single(second)
    entries = []
    for entry in first.entries:
        one, two = _alike(entry.embeddings, other.embeddings)
        tokens = one.shape[1]
        two = torch.nn.functional.pad(two[:, :tokens], (0, 0, 0, max(tokens - two.shape[1], 0)))
        pooled = _mixed_pooled(entry.pooled, other.pooled, strength)
        entries.append(replace(entry, embeddings=one * strength + two * (1 - strength), pooled=pooled))
    return Conditioning(tuple(entries))


def zeroed(conditioning: Conditioning) -> Conditioning:
    """The same entries with embeddings of 0."""
    return Conditioning(
        tuple(
            replace(
                entry,
                embeddings=torch.zeros_like(entry.embeddings),
                pooled=None if entry.pooled is None else torch.zeros_like(entry.pooled),
            )
            for entry in conditioning.entries
        )
    )


def _mixed_pooled(one: Tensor | None, other: Tensor | None, strength: float) -> Tensor | None:
    if one is None or other is None:
        return other if one is None else one
    return one * strength + other * (1 - strength)


def _single(conditioning: Conditioning) -> ConditioningEntry:
    if not conditioning.entries:
        raise InputError("The conditioning is empty; encode a prompt for it.", code="empty-conditioning")
    return conditioning.entries[0]


def _alike(one: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    if one.shape[-1] != other.shape[-1]:
        raise InputError(
            f"One conditioning is {one.shape[-1]} wide and the other {other.shape[-1]}; encode both with the text "
            "encoder of one model.",
            code="mismatched-conditionings",
        )
    rows = max(one.shape[0], other.shape[0])
    return _rows(one, rows), _rows(other, rows)


def _rows(tensor: Tensor, rows: int) -> Tensor:
    return tensor if tensor.shape[0] == rows else tensor.repeat(-(-rows // tensor.shape[0]), 1, 1)[:rows]
