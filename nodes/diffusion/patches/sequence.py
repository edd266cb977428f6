"""Weights after all patches of a model, in the order in which nodes added them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from itertools import groupby

from torch import Tensor

from nodes.diffusion.part import Part
from nodes.diffusion.patches.merge import attention_scaled, merged
from nodes.models.merges import AttentionScale, MergePatch
from nodes.values import Patch

Weights = Mapping[str, Tensor]
Patcher = Callable[[Part, Weights, tuple[Patch, ...]], Weights]
Others = Callable[[MergePatch], AbstractContextManager[Weights]]


def patched_weights(
    part: Part, weights: Weights, patches: tuple[Patch, ...], *, adapt: Patcher, others: Others
) -> dict[str, Tensor]:
    """The tensors that patches change, by name.

    `adapt` applies adapters that follow each other; `others` gives the weights of the model that a merge names, for
    the length of the block.
    """
    changed: dict[str, Tensor] = {}
    for run in _runs(patches):
        current = {**weights, **changed}
        if isinstance(run, MergePatch):
            with others(run) as theirs:
                changed |= merged(part, current, theirs, run)
        elif isinstance(run, AttentionScale):
            changed |= attention_scaled(current, run)
        else:
            changed |= adapt(part, current, run)
    return changed


def _runs(patches: tuple[Patch, ...]) -> Iterator[MergePatch | AttentionScale | tuple[Patch, ...]]:
    """Merges and scales one by one, and what stands between them together."""
    for alone, group in groupby(patches, key=lambda patch: isinstance(patch, (MergePatch, AttentionScale))):
        if not alone:
            yield tuple(group)
            continue
        yield from (patch for patch in group if isinstance(patch, (MergePatch, AttentionScale)))
