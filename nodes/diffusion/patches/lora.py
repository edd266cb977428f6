"""Applies adapters to the weights of a network: out of place, in order, in float32 with one cast at the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path

import torch
from torch import Tensor

from graphcore.errors import InputError
from nodes.diffusion.part import Part
from nodes.diffusion.patches.adapter_file import AdapterEntry, AdapterFile, open_adapters
from nodes.diffusion.patches.module_names import Target, module_names
from nodes.values import FileRef, LoraPatch, Patch


@dataclass(frozen=True, slots=True, kw_only=True)
class Matched:
    """An adapter and the tensor of the network that it changes."""

    entry: AdapterEntry
    tensor: str


@dataclass(frozen=True, slots=True)
class LoraPatcher:
    """Computes what adapters make of weights; `resolve` finds their files."""

    resolve: Callable[[FileRef], Path]

    def __call__(
        self, part: Part, weights: Mapping[str, Tensor], patches: tuple[Patch, ...]
    ) -> Mapping[str, Tensor]:
        """The changed weights by name, in the dtype and on the device of those they replace."""
        names = module_names(part.kind, part.name, part.config, weights)
        changed: dict[str, Tensor] = {}
        for patch in patches:
            if not isinstance(patch, LoraPatch):
                raise InputError(f"A patch of kind {type(patch).__name__} cannot be applied to weights.")
            file = open_adapters(self.resolve(patch.file))
            found = matching(file, names, weights)
            for item, adapter in zip(found, file.load(match.entry for match in found), strict=True):
                before = changed.get(item.tensor)
                if before is None:
                    before = weights[item.tensor].float()
                moved = type(adapter)(
                    kind=adapter.kind,
                    tensors={role: tensor.to(before.device) for role, tensor in adapter.tensors.items()},
                    scale=adapter.scale,
                )
                changed[item.tensor] = moved.applied(before, patch.strength)
        return {name: _as(tensor, weights[name]) for name, tensor in changed.items()}


def _as(tensor: Tensor, model: Tensor) -> Tensor:
    made = tensor.to(model.dtype)
    if model.ndim == 4 and not model.is_contiguous():
        made = made.contiguous(memory_format=torch.channels_last)
    return made


def matching(file: AdapterFile, names: Mapping[str, Target], weights: Mapping[str, object]) -> list[Matched]:
    """The adapters of a file that mean tensors of this network."""
    found = []
    for entry in file.entries:
        target = names.get(entry.module)
        if target is None:
            continue
        tensor = target.bias if entry.kind == "bias" else target.weight
        if tensor in weights:
            found.append(Matched(entry=entry, tensor=tensor))
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """How an adapter file fits a network: how many of its adapters match, and one that has another shape."""

    matched: frozenset[str]
    misfit: str | None


def fit(file: AdapterFile, part: Part, shapes: Mapping[str, tuple[int, ...]]) -> Fit:
    """See how a file fits a network with tensors of these shapes; reads no weights."""
    names = module_names(part.kind, part.name, part.config, shapes)
    found = matching(file, names, shapes)
    misfit = next(
        (match.entry.module for match in found if not _fits(file, match, shapes[match.tensor])), None
    )
    return Fit(matched=frozenset(match.entry.module for match in found), misfit=misfit)


def _fits(file: AdapterFile, match: Matched, shape: tuple[int, ...]) -> bool:
    """Whether a plain LoRA's ends are those of the weight; other kinds are checked when they are applied."""
    if match.entry.kind != "lora" or "mid" in match.entry.names:
        return True
    tensors = file.header.tensors
    up, down = tensors[match.entry.names["up"]].shape, tensors[match.entry.names["down"]].shape
    return up[:1] == shape[:1] and prod(down[1:]) == prod(shape[1:])
