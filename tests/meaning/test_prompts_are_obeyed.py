"""Prompts, guidance, seeds and weights mean what users take them to mean: seen in pictures, not only in tensors."""

from __future__ import annotations

import pytest
import torch
from PIL import Image as Pillow
from torch import Tensor

from tests.meaning.colours import difference, left, right, share
from tests.meaning.conftest import Studio
from tools.embedded.measuring import sky_seen
from tools.embedded.words import SKY_WORDS

pytestmark = pytest.mark.embedded
BALLOON = "a red balloon on the left on a white background"


def test_a_thing_stands_where_the_prompt_puts_it(studio: Studio) -> None:
    here = studio.draw("a red balloon on the left on a white background")
    there = studio.draw("a red balloon on the right on a white background")
    assert share(left(here), "red") > 5 * share(right(here), "red")
    assert share(right(there), "red") > 5 * share(left(there), "red")


def test_swapped_prompts_make_another_picture(studio: Studio) -> None:
    day, night = "a red house on the grass by day", "a red house on the grass at night"
    as_told = studio.draw(day, night)[:30].mean()
    swapped = studio.draw(night, day)[:30].mean()
    assert as_told > swapped + 0.3


def test_the_negative_prompt_removes_what_it_names(studio: Studio) -> None:
    """A prompt that leaves the sky open: naming the one that came as unwanted brings another, for the same seed."""
    gone = 0
    for seed in range(5):
        sky = sky_seen(_picture(studio.draw("a red boat on the sea", seed=seed)))
        unwanted = ", ".join(dict.fromkeys(SKY_WORDS[sky][:4]))
        gone += sky_seen(_picture(studio.draw("a red boat on the sea", unwanted, seed=seed))) != sky
    assert gone >= 4


def test_guidance_moves_the_picture_and_keeps_what_is_told(studio: Studio) -> None:
    weak, strong = studio.draw(BALLOON, cfg=1.0), studio.draw(BALLOON, cfg=7.0)
    assert difference(weak, strong) > 0.008
    assert share(left(strong), "red") > 0.05


def test_guidance_of_one_has_no_use_for_the_negative_prompt(studio: Studio) -> None:
    night = "a red house on the grass at night"
    assert torch.equal(studio.draw(BALLOON, cfg=1.0), studio.draw(BALLOON, night, cfg=1.0))
    assert difference(studio.draw(BALLOON, cfg=5.0), studio.draw(BALLOON, night, cfg=5.0)) > 0.003


def test_a_seed_changes_the_picture_but_not_what_is_told(studio: Studio) -> None:
    one, other = studio.draw(BALLOON, seed=1), studio.draw(BALLOON, seed=2)
    assert difference(one, other) > 0.004
    assert share(left(one), "red") > 0.05
    assert share(left(other), "red") > 0.05
    assert torch.equal(one, studio.draw(BALLOON, seed=1))


def test_an_empty_prompt_makes_a_picture(studio: Studio) -> None:
    assert studio.draw("").std() > 0.02


def test_a_weighted_word_grows(studio: Studio) -> None:
    prompt = "a {} circle in the middle on a white background"
    less, more = (
        [share(studio.draw(prompt.format(f"(red:{weight})"), cfg=3.0, seed=seed), "red") for seed in range(3)]
        for weight in (0.3, 2.0)
    )
    assert sum(more) > 1.1 * sum(less)


def _picture(pixels: Tensor) -> Pillow.Image:
    return Pillow.fromarray((pixels.clamp(0, 1) * 255).round().to(torch.uint8).numpy())


@pytest.mark.parametrize("side", [192, 256])
def test_larger_pictures_hold_one_thing_where_it_is_told(studio: Studio, side: int) -> None:
    """Things grow with the picture; they are neither doubled nor lost."""
    for prompt, here, there in (
        ("a red circle on the left on a white background", left, right),
        ("a red circle on the right on a white background", right, left),
    ):
        picture = studio.draw(prompt, side=side)
        assert picture.shape == (side, side, 3)
        assert share(here(picture), "red") > 0.05
        assert share(there(picture), "red") < 0.01
        assert share(picture, "white") > 0.7
