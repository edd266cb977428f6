"""Applies adapters to the weights of a network: out of place, in order, in float32 with one cast at the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path

import torch
from torch import Tensor

from graphcore.errors import InputError
from nodes.diffusion.part import Part
from nodes.diffusion.patches.adapter import Adapter
from nodes.diffusion.patches.adapter_file import AdapterEntry, AdapterFile, held_adapters, open_adapters
from nodes.diffusion.patches.module_names import Target, Targets, module_names
from nodes.values import FileRef, LoraPatch, Patch, TrainedPatch


@dataclass(frozen=True, slots=True, kw_only=True)
class Matched:
    """An adapter and the tensor of the network that it changes, by rows `index` of `count` if it speaks of several."""

    entry: AdapterEntry
    tensor: str
    index: int = 0
    count: int = 1


@dataclass(frozen=True, slots=True)
class LoraPatcher:
    """Computes what adapters make of weights; `resolve` finds their files."""

    resolve: Callable[[FileRef], Path]

    def __call__(
        self, part: Part, weights: Mapping[str, Tensor], patches: tuple[Patch, ...]
    ) -> Mapping[str, Tensor]:
        """The changed weights by name, in the dtype and on the device of those they replace."""
        names = module_names(part.kind, part.name, part.config, weights)
        planned: dict[str, list[tuple[Adapter, float]]] = {}
        for patch in patches:
            if not isinstance(patch, (LoraPatch, TrainedPatch)):
                raise InputError(f"A patch of kind {type(patch).__name__} cannot be applied to weights.")
            file = self._adapters(patch)
            found = matching(file, names, weights)
            for item, adapter in zip(found, file.load(match.entry for match in found), strict=True):
                own = adapter.rows(item.index, item.count)
                planned.setdefault(item.tensor, []).append((own, patch.strength))
        changed = _room_like({name: weights[name] for name in planned})
        largest = max((tensor.numel() for tensor in changed.values()), default=0)
        scratch = torch.empty(largest, device=next((t.device for t in changed.values()), None))
        for name, adapters in planned.items():
            room, weight = changed[name], weights[name]
            direct = room.dtype == torch.float32 and room.is_contiguous()
            work = room if direct else scratch[: weight.numel()].view(weight.shape)
            result = _applied(weight, adapters, work)
            if result.data_ptr() != room.data_ptr():
                room.copy_(result)
        return changed

    def _adapters(self, patch: LoraPatch | TrainedPatch) -> AdapterFile:
        if isinstance(patch, TrainedPatch):
            return held_adapters(patch.lora)
        return open_adapters(self.resolve(patch.file))


def _applied(weight: Tensor, adapters: list[tuple[Adapter, float]], work: Tensor) -> Tensor:
    """The weight with the adapters, in order, in float32; `work` is room to compute in."""
    changed = weight if weight.dtype == torch.float32 else work.copy_(weight)
    for adapter, strength in adapters:
        tensors = {role: tensor.to(weight.device) for role, tensor in adapter.tensors.items()}
        changed = replace(adapter, tensors=tensors).applied(changed, strength, work)
    return changed


def _room_like(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Room for copies of tensors, in one block for each dtype: hundreds of blocks cost several times as much to map."""
    room: dict[str, Tensor] = {}
    for dtype in {tensor.dtype for tensor in tensors.values()}:
        chosen = {name: tensor for name, tensor in tensors.items() if tensor.dtype == dtype}
        device = next(iter(chosen.values())).device
        block = torch.empty(sum(tensor.numel() for tensor in chosen.values()), dtype=dtype, device=device)
        sizes = [tensor.numel() for tensor in chosen.values()]
        for (name, tensor), flat in zip(chosen.items(), torch.split(block, sizes), strict=True):
            room[name] = _shaped_like(flat, tensor)
    return room


def _shaped_like(flat: Tensor, tensor: Tensor) -> Tensor:
    """A view of a flat tensor with another's shape, and its channels last where that one has them so."""
    if tensor.ndim == 4 and not tensor.is_contiguous():
        count, channels, height, width = tensor.shape
        return flat.view(count, height, width, channels).permute(0, 3, 1, 2)
    return flat.view(tensor.shape)


def matching(file: AdapterFile, names: Targets, weights: Mapping[str, object]) -> list[Matched]:
    """The adapters of a file that mean tensors of this network."""
    return [
        Matched(entry=entry, tensor=tensor, index=target.index, count=target.count)
        for entry in file.entries
        for target in names.get(entry.module, ())
        if (tensor := _tensor(entry, target)) in weights
    ]


def _tensor(entry: AdapterEntry, target: Target) -> str:
    return target.bias if entry.kind == "bias" else target.weight


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
    return up[:1] == (shape[0] * match.count,) and prod(down[1:]) == prod(shape[1:])
