"""Mixes the weights of two networks of one kind, tensor by tensor, in float32 with one cast at the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from nodes.diffusion.layouts import mmdit, unet
from nodes.diffusion.part import Part
from nodes.models.merges import AttentionScale, MergePatch

ENTRANCE = "conv_in.weight"
"""The one tensor that may differ in shape: networks for inpainting have more input channels."""


def merged(
    part: Part, weights: Mapping[str, Tensor], others: Mapping[str, Tensor], patch: MergePatch
) -> dict[str, Tensor]:
    """The mixed weights by name, in the dtype and on the device of a network's own.

    Where the other has fewer or more input channels, those that both have are mixed and its own further ones kept.
    """
    shares = share_of(part, weights, patch)
    mixed: dict[str, Tensor] = {}
    for name, weight in weights.items():
        other = others.get(name)
        own, rest = shares(name)
        if other is None or not weight.is_floating_point() or (own == 1 and rest == 0):
            continue
        if other.shape == weight.shape:
            mixed[name] = _mixed(weight, other, own, rest)
        elif name == ENTRANCE:
            common = min(weight.shape[1], other.shape[1])
            entrance = weight.clone()
            entrance[:, :common] = _mixed(weight[:, :common], other[:, :common], own, rest)
            mixed[name] = entrance
    return mixed


def attention_scaled(weights: Mapping[str, Tensor], patch: AttentionScale) -> dict[str, Tensor]:
    """The projections of attention, times the patch's factors."""
    factors = {
        "to_q": patch.q,
        "q_proj": patch.q,
        "to_k": patch.k,
        "k_proj": patch.k,
        "to_v": patch.v,
        "v_proj": patch.v,
        "to_out.0": patch.out,
        "out_proj": patch.out,
    }
    scaled = {}
    for name, weight in weights.items():
        _, found, projection = name.rpartition(".")[0].partition(f".{patch.layer}.")
        within = not patch.blocks or f".{patch.blocks}." in name
        factor = factors.get(projection, 1.0) if found and within else 1.0
        if factor != 1.0:
            scaled[name] = (weight.float() * factor).to(weight.dtype)
    return scaled


def share_of(
    part: Part, names: Mapping[str, object], patch: MergePatch
) -> Callable[[str], tuple[float, float]]:
    """By a tensor's name: how much of its own, and how much of the other's."""
    if not patch.blocks:
        return lambda name: (patch.own, patch.others)
    originals = original_names(part, names)

    def shares(name: str) -> tuple[float, float]:
        original = f"{originals.get(name, name)}."
        fitting = [block for block in patch.blocks if original.startswith(block.prefix)]
        own = max(fitting, key=lambda block: len(block.prefix)).own if fitting else patch.own
        return own, 1 - own

    return shares


def original_names(part: Part, names: Mapping[str, object]) -> Mapping[str, str]:
    """What single files call the tensors of a network."""
    layouts = {"unet": unet.rules, "mmdit": mmdit.rules}
    if part.kind not in layouts:
        return {}
    return {rule.target: rule.original for rule in layouts[part.kind](part.config, names)}


def _mixed(weight: Tensor, other: Tensor, own: float, rest: float) -> Tensor:
    added = other.to(weight.device, torch.float32)
    return torch.add(weight.float() * own, added, alpha=rest).to(weight.dtype)


def misfit(own: Mapping[str, tuple[int, ...]], other: Mapping[str, tuple[int, ...]]) -> str | None:
    """The first tensor because of which two networks cannot be mixed, from their shapes by name; None if they can."""
    for name, shape in own.items():
        found = other.get(name)
        if found is None or found == shape:
            continue
        if name != ENTRANCE or (found[0], *found[2:]) != (shape[0], *shape[2:]):
            return name
    shared = own.keys() & other.keys()
    if 2 * len(shared) < max(len(own), len(other)):
        return next(iter(own.keys() ^ other.keys()))
    return None
