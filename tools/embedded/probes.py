"""The early measure of prompt obedience: how much the noise error rises when one word of the caption is wrong."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from torch import Tensor

from tools.embedded.captions import FULL, caption
from tools.embedded.latents import LatentSet
from tools.embedded.world import COLOURS, OBJECTS, SHAPES, SKIES, Scene, confusable, scene_of

_TIME = 900


class NoiseModel(Protocol):
    """What a probe needs of the diffusion stage."""

    scale: float

    def error(self, latents: Tensor, texts: Sequence[str], *, time: int, seed: int) -> Tensor: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """Latents with their right captions and captions with one word changed."""

    name: str
    latents: Tensor
    right: tuple[str, ...]
    wrong: tuple[str, ...]


def swapped_word_rise(model: NoiseModel, probe: Probe) -> float:
    """Percent by which the error at timestep 900 rises with the wrong captions (0: the word is not read)."""
    latents = probe.latents.float() * model.scale
    right = model.error(latents, probe.right, time=_TIME, seed=7).mean()
    wrong = model.error(latents, probe.wrong, time=_TIME, seed=7).mean()
    return float((wrong / right - 1) * 100)


def build_probes(one: LatentSet, two: LatentSet | None = None, *, size: int = 32) -> list[Probe]:
    """The probes over held-out latents: of one thing (`one`), and of lights and two things (`two`)."""
    probes = [
        _probe("side", one, _other_side, size),
        _probe("shape_row", one, _other_row, size),
        _probe("colour", one, _other_colour, size),
        _probe("kind", one, _other_kind, size),
        _probe("sky", one, _other_sky, size),
    ]
    if two is not None:
        probes += [
            _probe("sun_side", two, _other_light_side, size),
            _probe("two_sides", two, _exchanged, size),
            _probe("second_colour", two, _other_second_colour, size),
        ]
    return [probe for probe in probes if probe.right]


def _probe(
    name: str, latents: LatentSet, change: Callable[[Scene, random.Random], Scene | None], size: int
) -> Probe:
    rng = random.Random(name)
    rows: list[int] = []
    right: list[str] = []
    wrong: list[str] = []
    for row, seed in enumerate(latents.seeds):
        scene = scene_of(seed, latents.phase)
        other = None if scene.style != "plain" or scene.counted else change(scene, rng)
        if other is None or len(rows) == size:
            continue
        order = rng.random()
        rows.append(row)
        right.append(caption(scene, random.Random(order), FULL))
        wrong.append(caption(other, random.Random(order), FULL))
    return Probe(name=name, latents=latents.latents[rows], right=tuple(right), wrong=tuple(wrong))


def _other_side(scene: Scene, rng: random.Random) -> Scene | None:
    thing = scene.things[0]
    if len(scene.things) > 1 or thing.column == 1 or thing.kind not in OBJECTS:
        return None
    return replace(scene, things=(replace(thing, column=2 - thing.column),))


def _other_row(scene: Scene, rng: random.Random) -> Scene | None:
    thing = scene.things[0]
    if len(scene.things) > 1 or thing.row == 1 or thing.kind not in SHAPES:
        return None
    return replace(scene, things=(replace(thing, row=2 - thing.row),))


def _other_colour(scene: Scene, rng: random.Random) -> Scene | None:
    thing = scene.things[0]
    choices = [c for c in COLOURS if not confusable(c, thing.colour)]
    return replace(scene, things=(replace(thing, colour=rng.choice(choices)), *scene.things[1:]))


def _other_kind(scene: Scene, rng: random.Random) -> Scene | None:
    thing = scene.things[0]
    kinds = OBJECTS if thing.kind in OBJECTS else SHAPES
    return replace(scene, things=(replace(thing, kind=rng.choice([k for k in kinds if k != thing.kind])),))


def _other_sky(scene: Scene, rng: random.Random) -> Scene | None:
    if scene.sky is None:
        return None
    return replace(scene, sky=rng.choice([s for s in SKIES if s != scene.sky]))


def _other_light_side(scene: Scene, rng: random.Random) -> Scene | None:
    return None if scene.light_side is None else replace(scene, light_side=2 - scene.light_side)


def _exchanged(scene: Scene, rng: random.Random) -> Scene | None:
    if len(scene.things) != 2 or scene.things[0].kind not in OBJECTS:
        return None
    first, second = scene.things
    return replace(scene, things=(replace(first, column=second.column), replace(second, column=first.column)))


def _other_second_colour(scene: Scene, rng: random.Random) -> Scene | None:
    if len(scene.things) != 2:
        return None
    first, second = scene.things
    choices = [c for c in COLOURS if not confusable(c, second.colour) and not confusable(c, first.colour)]
    return replace(scene, things=(first, replace(second, colour=rng.choice(choices))))
