"""Conditionings made ready for the network, once a run: tensors, region, weight, time range, hints."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import torch
from torch import Tensor

from graphcore.errors import InputError
from nodes.conditioning.hook_values import DEFAULT, Hooks, hooks_of
from nodes.diffusion.network import FOR_HINTS, FRAMES, HintNetwork, LatentScene, Network, ReadyHint
from nodes.diffusion.region import Region, entry_region, entry_weight
from nodes.values import Conditioning, ConditioningEntry, ControlHint

_FOR_HINTS: Final = {"cross_attn_controlnet": "context", "pooled_output_controlnet": "pooled"}
"""What a conditioning's text for ControlNets is called among its further values, and among a network's conditions."""


@dataclass(frozen=True, slots=True, eq=False)
class Hint:
    """A hint with the sigmas between which it acts, and what it adds to the conditions of its entry."""

    network: HintNetwork
    start_sigma: float
    end_sigma: float
    tensors: Mapping[str, Tensor]

    def acts(self, sigma: float) -> bool:
        """True within its range."""
        return self.end_sigma <= sigma <= self.start_sigma


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Entry:
    """A conditioning entry, ready for the network.

    `tensors` have 1 or batch rows, in the network's dtype. `weight` is a number, or (1 or batch, 1, height,
    width) within `region` (None: the whole latent). A `default` one acts where no other does.
    """

    tensors: Mapping[str, Tensor]
    region: Region | None
    weight: float | Tensor
    start_sigma: float
    end_sigma: float
    hints: tuple[Hint, ...] = ()
    hooks: Hooks | None = None
    default: bool = False

    def acts(self, sigma: float) -> bool:
        """True within its time range."""
        return self.end_sigma <= sigma <= self.start_sigma

    def size(self, x: Tensor) -> tuple[int, int]:
        """Height and width of the part of x that it sees."""
        return (x.shape[2], x.shape[3]) if self.region is None else (self.region.height, self.region.width)

    def of_rows(self, rows: Sequence[int], batch: int, known: dict[int, HintNetwork]) -> Entry:
        """This entry for some samples of a batch; `known` holds what its hints' networks became."""
        for hint in self.hints:
            if id(hint.network) not in known:
                known[id(hint.network)] = hint.network.of_rows(rows, batch)
        return replace(
            self,
            tensors={
                name: torch.full_like(tensor, len(rows)) if name == FRAMES else rows_of(tensor, rows, batch)
                for name, tensor in self.tensors.items()
            },
            weight=rows_of(self.weight, rows, batch) if isinstance(self.weight, Tensor) else self.weight,
            hints=tuple(replace(hint, network=known[id(hint.network)]) for hint in self.hints),
        )

    def seen(self, x: Tensor) -> Tensor:
        """The part of x that it sees."""
        return x if self.region is None else self.region.of(x)


def prepare_entries(
    network: Network,
    conditionings: Mapping[str, Conditioning],
    scene: LatentScene,
    resolve_hint: Callable[[ControlHint], ReadyHint] | None = None,
) -> dict[str, list[Entry]]:
    """All conditionings of a run, ready for the network.

    Where a conditioning has an entry for an area, each other one gets its own text for the same area, so that
    both sides of guidance weigh alike there. Raises InputError for an area outside the latent, an empty
    conditioning, or a hint nobody can resolve.
    """
    known: dict[int, Hint] = {}
    prepared: dict[str, list[Entry]] = {}
    for name, conditioning in conditionings.items():
        if not conditioning.entries:
            raise InputError(f"The {name} conditioning is empty; give it a text.", code="empty-conditioning")
        side = replace(scene, negative=name == "negative")
        prepared[name] = [
            _prepare(network, entry, side, _hints(network, entry, resolve_hint, known))
            for entry in conditioning.entries
        ]
    for name, entries in prepared.items():
        for other, others in prepared.items():
            if other != name:
                for entry in entries:
                    _mirror_area(entry, others)
    return prepared


def _hints(
    network: Network,
    entry: ConditioningEntry,
    resolve: Callable[[ControlHint], ReadyHint] | None,
    known: dict[int, Hint],
) -> tuple[Hint, ...]:
    found = []
    for hint in entry.hints:
        if id(hint) not in known:
            if resolve is None:
                raise InputError(
                    f"Nothing here can compute a {type(hint).__name__} hint.", code="unresolved-hint"
                )
            ready = resolve(hint)
            sigma_at = network.parameterization.sigma_at
            start, end = sigma_at(ready.network.start), sigma_at(ready.network.end)
            known[id(hint)] = Hint(ready.network, start, end, ready.tensors)
        found.append(known[id(hint)])
    return tuple(found)


def _prepare(
    network: Network, entry: ConditioningEntry, scene: LatentScene, hints: tuple[Hint, ...]
) -> Entry:
    height, width = scene.latent.shape[-2:]
    region = entry_region(entry, height, width)
    tensors = {}
    given = dict(network.conditions(entry, scene))
    if hints:
        given |= _told_to_hints(entry, given)
    for hint in hints:
        given |= hint.tensors
    for name, tensor in given.items():
        tensor = tensor.to(network.device)
        if tensor.is_floating_point():
            tensor = tensor.to(network.dtype)
        if region is not None and name == "concat":
            tensor = region.of(tensor)
        tensors[name] = tensor
    sigma_at = network.parameterization.sigma_at
    weight = entry_weight(entry, region, height, width)
    if isinstance(weight, Tensor):
        weight = rows_for(weight, len(scene.latent)).to(scene.latent)
    return Entry(
        tensors=tensors,
        region=region,
        weight=weight,
        start_sigma=sigma_at(entry.start),
        end_sigma=sigma_at(entry.end),
        hints=hints,
        hooks=hooks_of(entry),
        default=bool(dict(entry.extra).get(DEFAULT)),
    )


def _told_to_hints(entry: ConditioningEntry, given: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The text that ControlNets read in the place of the network's, where an entry has one for them."""
    told = dict(entry.extra)
    found = {
        f"{FOR_HINTS}{name}": told[key] for key, name in _FOR_HINTS.items() if key in told and name in given
    }
    return {name: tensor for name, tensor in found.items() if isinstance(tensor, Tensor)}


def _mirror_area(entry: Entry, others: list[Entry]) -> None:
    """Give `others` an entry of the same area, with the text of their smallest one that covers it."""
    if entry.region is None:
        return
    covering = [other for other in others if other.region is None or entry.region.is_inside(other.region)]
    if not covering:
        return
    best = min(covering, key=lambda other: math.inf if other.region is None else other.region.cells)
    if best.region == entry.region:
        return
    tensors = dict(best.tensors)
    if "concat" in tensors:
        tensors["concat"] = entry.tensors["concat"]
    hints = tuple(hint for hint in entry.hints if hint.tensors.keys() <= tensors.keys())
    others.append(replace(entry, tensors=tensors, hints=hints))


def rows_of(tensor: Tensor, rows: Sequence[int], batch: int) -> Tensor:
    """The rows of a tensor that go with these samples of a batch; one row alone goes with all."""
    return tensor if len(tensor) == 1 else rows_for(tensor, batch)[list(rows)]


def rows_for(tensor: Tensor, batch: int) -> Tensor:
    """A tensor with `batch` rows: cut, or repeated from the start."""
    if len(tensor) == batch:
        return tensor
    repeats = -(-batch // len(tensor))
    return tensor.repeat(repeats, *([1] * (tensor.ndim - 1)))[:batch]
