"""A network's tensors under the names, and in the forms, that single files have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from graphcore.errors import ModelFileError
from nodes.diffusion.families import Family, PartPlace
from nodes.diffusion.layouts import clip, mmdit, unet, vae
from nodes.diffusion.layouts.rules import Rule, to_original


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
    match place.kind:
        case "unet":
            return unet.rules(config, state)
        case "mmdit":
            return mmdit.rules(config, state)
        case "vae":
            return vae.rules(config, state)
        case "clip" if place.layout == "openclip":
            return clip.openclip_rules(state)
        case "clip":
            return clip.transformers_rules(state, "text_model.")
    return tuple(Rule(name, name) for name in state)
