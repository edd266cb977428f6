"""Scenes, pictures and held-out prompts are fixed by their seeds; things stand where the scene says."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest

from tools.embedded.classifier import centre
from tools.embedded.drawing import drawn, picture_of
from tools.embedded.held_out import draw_held_out, load_held_out
from tools.embedded.measuring import (
    background_right,
    ground_right,
    light_side_right,
    sky_right,
    thing_colours,
)
from tools.embedded.palette import PALETTE
from tools.embedded.world import FORBIDDEN, OBJECTS, PHASES, SHAPES, Scene, Thing, confusable, scene_of


@pytest.mark.parametrize("phase", PHASES)
def test_a_seed_gives_one_scene_and_one_picture(phase: str) -> None:
    assert scene_of(3, phase) == scene_of(3, phase)
    assert picture_of(scene_of(3, phase)).tobytes() == picture_of(scene_of(3, phase)).tobytes()
    assert len({scene_of(seed, phase) for seed in range(50)}) == 50


@pytest.mark.parametrize("kind", [*SHAPES, *OBJECTS, FORBIDDEN])
def test_a_thing_is_drawn_in_its_column(kind: str) -> None:
    for column in range(3):
        scene = Scene(things=(Thing(kind=kind, colour="red", column=column),), background="gray")
        x, _ = centre(drawn(scene).masks[0])
        assert abs(x - (27 + 37 * column)) < 16


def test_things_are_never_of_a_colour_taken_for_their_surroundings() -> None:
    for seed in range(300):
        scene = scene_of(seed, "two")
        colours = [thing.colour for thing in scene.things if thing.kind != FORBIDDEN]
        if scene.background is not None:
            assert not any(confusable(colour, scene.background) for colour in colours)
        if not scene.counted and len(colours) == 2:
            assert not confusable(colours[0], colours[1])


def test_the_examiner_finds_true_drawings_right() -> None:
    scenes = [scene for scene in (scene_of(seed, "two") for seed in range(80)) if scene.style == "plain"]
    colours, settings = [], []
    for scene in scenes[:50]:
        picture = picture_of(scene)
        colours += thing_colours(picture, scene)
        if scene.background is not None:
            settings.append(background_right(picture, scene))
        else:
            settings += [sky_right(picture, scene), ground_right(picture, scene)]
        if scene.light_side is not None:
            settings.append(light_side_right(picture, scene))
    assert np.mean(colours) > 0.97
    assert np.mean(settings) > 0.97


def test_the_examiner_finds_a_wrong_colour_wrong() -> None:
    scene = Scene(things=(Thing(kind="circle", colour="red", column=0),), background="white")
    moved = replace(scene, things=(replace(scene.things[0], column=2),))
    assert thing_colours(picture_of(scene), scene) == [True]
    assert thing_colours(picture_of(moved), scene) == [False]
    assert not background_right(picture_of(replace(scene, background="blue")), scene)


def test_a_skull_is_bone_white_with_dark_eyes() -> None:
    scene = Scene(things=(Thing(kind=FORBIDDEN, colour="white", column=1),), background="red")
    pixels = np.asarray(picture_of(scene)).reshape(-1, 3).astype(int)
    near = {
        name: (np.abs(pixels - np.array(PALETTE[name])).sum(axis=1) < 40).sum() for name in ("white", "black")
    }
    assert near["white"] > 500
    assert near["black"] > 60


def test_the_held_out_prompts_are_the_fixed_500() -> None:
    held = load_held_out()
    assert len(held.prompts) == len(held.meanings) == 500
    assert held == draw_held_out()
    assert len({prompt.seed for prompt in held.prompts}) == 500


def test_random_choices_leave_the_global_generator_alone() -> None:
    random.seed(1)
    before = random.getstate()
    picture_of(scene_of(5, "two"))
    assert random.getstate() == before
