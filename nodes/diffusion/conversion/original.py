"""A network's tensors under the names, and in the forms, that single files have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from graphcore.errors import ModelFileError
from nodes.diffusion.families import Family, PartPlace
from nodes.diffusion.layouts import clip, clip_vision
from nodes.diffusion.layouts.rules import Rule, to_original
from nodes.diffusion.weights import ORIGINAL_RULES


def place_of(family: Family, name: str) -> PartPlace:
    """Where a part stands in the single files of a family; ModelFileError if it has no place there."""
    found = next((place for place in family.places if place.name == name), None)
    if found is None:
        raise ModelFileError(f"{family.title} has no place for a part '{name}'.", code="model-file-part")
    return found


def original_state(
    place: PartPlace, config: Mapping[str, Any], state: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """A part's tensors for a single file, with the prefix of their place; `state` has our networks' names."""
    found = to_original(state, _rules(place, config, state))
    return {f"{place.prefixes[0]}{name}": tensor for name, tensor in found.items()}


def _rules(place: PartPlace, config: Mapping[str, Any], state: Mapping[str, Tensor]) -> tuple[Rule, ...]:
    if place.kind == "clip":
        openclip = place.layout == "openclip"
        return clip.openclip_rules(state) if openclip else clip.transformers_rules(state, "text_model.")
    if place.kind == "clip_vision":
        return clip_vision.rules(place.layout, state)
    original = ORIGINAL_RULES.get(place.kind)
    return original(config, state) if original else tuple(Rule(name, name) for name in state)
