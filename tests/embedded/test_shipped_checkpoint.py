"""The shipped checkpoint is whole, small and obeys its prompts where its model card says so."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tools.embedded.export import Parts, load, read_header
from tools.embedded.measuring import background_right, ground_right, sky_right, thing_colours
from tools.embedded.sampling import Sampling, sample
from tools.embedded.train import SHIPPED
from tools.embedded.world import Scene, Thing

CHECKPOINT = Path(__file__).parents[2] / SHIPPED
LANDSCAPES = [
    Scene(things=(Thing(kind="house", colour="red", column=0),), sky="day", ground="grass"),
    Scene(things=(Thing(kind="boat", colour="yellow", column=2),), sky="night", ground="sea"),
    Scene(things=(Thing(kind="car", colour="blue", column=2),), sky="sunset", ground="snow"),
    Scene(things=(Thing(kind="tree", colour="purple", column=0),), sky="day", ground="sand"),
]
LANDSCAPE_PROMPTS = [
    "a red house on the left on the grass by day",
    "a yellow boat on the right on the sea at night",
    "a blue car on the right in the snow at sunset",
    "a purple tree on the left in the desert by day",
]
SHAPES = [
    Scene(things=(Thing(kind="circle", colour="red", column=1),), background="white"),
    Scene(things=(Thing(kind="square", colour="blue", column=1),), background="yellow"),
]
SHAPE_PROMPTS = [
    "a red circle in the middle on a white background",
    "a blue square in the middle on a yellow background",
]


@pytest.fixture(scope="module")
def shipped() -> Parts:
    torch.set_num_threads(1)
    return load(CHECKPOINT)


@pytest.fixture(scope="module")
def pictures(shipped: Parts) -> list[Image.Image]:
    return sample(shipped, LANDSCAPE_PROMPTS + SHAPE_PROMPTS, [11] * 6, settings=Sampling(batch=6))


def test_the_file_is_small_and_says_what_it_is() -> None:
    assert CHECKPOINT.stat().st_size < 45_000_000
    header = read_header(CHECKPOINT)
    assert header["modelspec.license"] == "CC0-1.0"
    assert json.loads(header["graphcore.training"])["stages"]
    config = json.loads(header["graphcore.config"])
    assert config["scheduler"]["prediction_type"] == "epsilon"
    assert config["unet"]["cross_attention_dim"] == config["text_encoder"]["hidden_size"]


@pytest.mark.embedded
def test_sky_ground_and_background_follow_the_prompt(pictures: list[Image.Image]) -> None:
    landscapes = list(zip(pictures[:4], LANDSCAPES, strict=True))
    assert all(sky_right(picture, scene) for picture, scene in landscapes)
    assert all(ground_right(picture, scene) for picture, scene in landscapes)
    assert all(background_right(picture, scene) for picture, scene in zip(pictures[4:], SHAPES, strict=True))


@pytest.mark.embedded
def test_a_single_thing_has_its_colour_at_its_place(pictures: list[Image.Image]) -> None:
    right = [
        thing_colours(picture, scene)[0] for picture, scene in zip(pictures, LANDSCAPES + SHAPES, strict=True)
    ]
    assert sum(right) >= 5


@pytest.mark.embedded
def test_the_negative_prompt_and_a_swap_change_the_sky(shipped: Parts) -> None:
    settings = Sampling(batch=2)
    wanted, swapped = sample(
        shipped,
        ["a red house on the grass by day", "at night"],
        [5, 5],
        negatives=["at night", "a red house on the grass by day"],
        settings=settings,
    )
    brightness = [np.asarray(picture)[:40].mean() for picture in (wanted, swapped)]
    assert brightness[0] > brightness[1] + 60
