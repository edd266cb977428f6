"""Which text encoder of which file serves as which tower of a family."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from graphcore.errors import InputError, ModelFileError
from nodes.diffusion.checkpoint import Checkpoint
from nodes.diffusion.families import FAMILIES, Families, Family, Tower
from nodes.diffusion.joint_text import JOINT_WIDTH, JointWidths
from nodes.diffusion.part import Part
from nodes.values import Clip, FileRef

KNOWN_WIDTHS: Mapping[str, int] = {"clip_l": 768, "clip_h": 1024, "clip_g": 1280}
FAMILY_OF_WIDTH: Mapping[int, str] = {1024: "sd2", 1280: "sdxl-refiner"}

Opened = Sequence[tuple[FileRef, Checkpoint]]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedTower:
    """A tower of a family, and the part of a file that holds its weights."""

    tower: Tower
    file: FileRef
    part: Part

    @property
    def layer(self) -> int:
        """The hidden layer taken; diffusers' folders of SD 2.x leave out the layers that are not used."""
        return -1 if self.part.layout == "diffusers" and self.tower.part == "clip_h" else self.tower.layer

    @property
    def named_part(self) -> Part:
        """The part under its tower's name, with the activation that shapes do not tell."""
        usual = {"hidden_act": self.tower.activation} if self.tower.kind == "clip" else {}
        return self.part.configured(name=self.tower.part, config={**usual, **self.part.config})


def text_family(clip: Clip, opened: Opened, families: Families = FAMILIES) -> Family:
    """The family that a text encoder was said to be of, or that its files show."""
    if clip.family is not None:
        found = families.named(clip.family)
        if found is None:
            known = ", ".join(families.names)
            raise InputError(f"'{clip.family}' is no known model family; use one of {known}.")
        return found
    for _, checkpoint in opened:
        if checkpoint.family is not None:
            return checkpoint.family
    if len(opened) > 1:
        return families["sdxl" if len(opened) == 2 else "sd3"]
    widths = [
        part.config.get("hidden_size", 0) for _, checkpoint in opened for part in checkpoint.parts.values()
    ]
    return families[next((FAMILY_OF_WIDTH[width] for width in widths if width in FAMILY_OF_WIDTH), "sd1")]


def place_towers(clip: Clip, family: Family, opened: Opened) -> tuple[PlacedTower, ...]:
    """A part for each of the family's towers.

    Raises ModelFileError if one that is not optional is missing, or every one.
    """
    loose = [(file, part) for file, c in opened for part in c.parts.values() if part.name == "text"]
    placed: list[PlacedTower] = []
    for tower in family.towers:
        whole = [(file, c.parts[tower.part]) for file, c in opened if tower.part in c.parts]
        taken = [each.part for each in placed]
        free = [(file, part) for file, part in loose if not any(part is other for other in taken)]
        matching = whole or _matching(free, tower, alone=len(family.towers) == 1)
        if matching:
            placed.append(PlacedTower(tower=tower, file=matching[0][0], part=matching[0][1]))
        elif not tower.optional:
            held = ", ".join(file.name for file in clip.files)
            raise ModelFileError(
                f"No text encoder '{tower.part}' of {family.title} is in {held}; choose a file that holds it.",
                code="model-file-part",
                location=held,
            )
    if family.towers and not placed:
        held = ", ".join(file.name for file in clip.files)
        raise ModelFileError(
            f"No text encoder of {family.title} is in {held}; load the model's text encoders from files of their own.",
            code="model-file-part",
            location=held,
        )
    return tuple(placed)


def joint_widths(opened: Opened) -> JointWidths:
    """How wide SD3's text is: what the network in one of the files takes, or a T5 gives; else 4096. Pooled likewise."""
    configs = [part.config for _, checkpoint in opened for part in checkpoint.parts.values()]

    def said(*keys: str) -> int | None:
        found = [int(config[key]) for key in keys for config in configs if key in config]
        return found[0] if found else None

    return JointWidths(
        text=said("joint_attention_dim", "d_model") or JOINT_WIDTH,
        pooled=said("pooled_projection_dim") or JointWidths().pooled,
    )


def _matching(
    loose: Sequence[tuple[FileRef, Part]], tower: Tower, *, alone: bool
) -> Sequence[tuple[FileRef, Part]]:
    same = [item for item in loose if item[1].kind == tower.kind]
    if alone or tower.kind == "t5":
        return same
    exact = [item for item in same if item[1].config.get("hidden_size") == KNOWN_WIDTHS[tower.part]]
    if exact:
        return exact
    others = set(KNOWN_WIDTHS.values()) - {KNOWN_WIDTHS[tower.part]}
    same = [item for item in same if item[1].config.get("hidden_size") not in others]
    widest = tower.part == "clip_g"
    if all("projection_dim" in part.config for _, part in same):
        return sorted(same, key=lambda item: item[1].config.get("hidden_size", 0), reverse=widest)[:1]
    return [item for item in same if ("projection_dim" in item[1].config) == widest]
