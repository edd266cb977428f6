"""The names that nodes offer are those that the machine room knows, in the same order."""

from __future__ import annotations

from typing import get_args

from nodes.choices import ImageResize, LatentResize, SamplerName, ScheduleName
from nodes.diffusion.resizing import resize
from nodes.diffusion.samplers.registry import SAMPLERS
from nodes.diffusion.schedules import SCHEDULES
from tests.random_tensors import seeded


def test_samplers() -> None:
    assert get_args(SamplerName) == tuple(SAMPLERS)


def test_schedules() -> None:
    assert get_args(ScheduleName) == tuple(SCHEDULES)


def test_ways_of_resizing() -> None:
    for method in {*get_args(ImageResize), *get_args(LatentResize)}:
        assert resize(seeded(1, 4, 6, 5), 8, 9, method).shape == (1, 4, 9, 8)
