"""Prompts, guidance, seeds and weights mean what users take them to mean: seen in pictures, not only in tensors."""

from __future__ import annotations

import pytest
import torch

from tests.meaning.colours import difference, left, right, share
from tests.meaning.conftest import Studio

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
    """A boat under any sky: naming night as unwanted leaves bright skies only."""
    free = [float(studio.draw("a boat on the sea", seed=seed)[:30].mean()) for seed in range(6)]
    without = [
        float(studio.draw("a boat on the sea", "at night", seed=seed)[:30].mean()) for seed in range(6)
    ]
    assert min(free) < 0.3
    assert min(without) > 0.35


def test_guidance_strengthens_the_prompt(studio: Studio) -> None:
    weak = [share(left(studio.draw(BALLOON, cfg=1.0, seed=seed)), "red") for seed in range(3)]
    strong = [share(left(studio.draw(BALLOON, cfg=7.0, seed=seed)), "red") for seed in range(3)]
    assert sum(strong) > sum(weak)
    assert min(strong) > 0.05


def test_a_seed_changes_the_picture_but_not_what_is_told(studio: Studio) -> None:
    one, other = studio.draw(BALLOON, seed=1), studio.draw(BALLOON, seed=2)
    assert difference(one, other) > 0.01
    assert share(left(one), "red") > 0.05
    assert share(left(other), "red") > 0.05
    assert torch.equal(one, studio.draw(BALLOON, seed=1))


def test_an_empty_prompt_makes_a_picture(studio: Studio) -> None:
    assert studio.draw("").std() > 0.02


def test_a_weighted_word_grows(studio: Studio) -> None:
    """Guidance at 1.5 leaves room for a weight to matter."""
    prompt = "a {} balloon on a blue background"
    plain = [share(studio.draw(prompt.format("red"), cfg=1.5, seed=s), "red") for s in range(4)]
    more = [share(studio.draw(prompt.format("(red:1.6)"), cfg=1.5, seed=s), "red") for s in range(4)]
    less = [share(studio.draw(prompt.format("(red:0.2)"), cfg=1.5, seed=s), "red") for s in range(4)]
    assert sum(more) > sum(less)
    assert sum(plain) > sum(less)
