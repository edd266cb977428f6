"""Merging as a value: another model's weights, mixed into a model's own when somebody computes with it."""

from __future__ import annotations

from dataclasses import dataclass

from nodes.values import Clip, Model, Patch


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockShare:
    """How much of its own a model keeps in the tensors whose original names start with `prefix`."""

    prefix: str
    own: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MergePatch(Patch):
    """weight = own * weight + others * (the other's weight), tensor by tensor.

    With `blocks`, tensors whose names they begin keep that share and take the rest of the other; the longest prefix
    counts. Tensors that the other does not have stay as they are.
    """

    other: Model | Clip
    own: float
    others: float
    blocks: tuple[BlockShare, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AttentionScale(Patch):
    """The query, key, value and output projections of attention, times a factor each.

    `layer` is "attn1" (self-attention of UNets), "attn2" (their cross-attention) or "self_attn" (of text encoders);
    `blocks` are "transformer_blocks" (of each picture), "temporal_transformer_blocks" (over frames), or "" for all.
    """

    layer: str
    q: float = 1.0
    k: float = 1.0
    v: float = 1.0
    out: float = 1.0
    blocks: str = ""
