"""Nodes on conditioning: what they change, and nothing else."""

from __future__ import annotations

import pytest
import torch

from graphcore import InputError
from nodes.conditioning.combining import (
    conditioning_average,
    conditioning_combine,
    conditioning_concat,
    conditioning_set_area,
    conditioning_set_area_percentage,
    conditioning_set_area_strength,
    conditioning_set_mask,
    conditioning_set_timestep_range,
    conditioning_zero_out,
)
from nodes.values import Area, Conditioning, ConditioningEntry, Mask
from tests.random_tensors import seeded


def conditioning(seed: int, tokens: int = 77, width: int = 8, pooled: bool = True) -> Conditioning:
    entry = ConditioningEntry(
        embeddings=seeded(1, tokens, width, seed=seed),
        pooled=seeded(1, width, seed=seed + 100) if pooled else None,
    )
    return Conditioning((entry,))


ONE, TWO = conditioning(1), conditioning(2, tokens=154)


def test_combined_conditionings_are_all_there() -> None:
    assert conditioning_combine(ONE, TWO).entries == (*ONE.entries, *TWO.entries)


def test_concatenated_tokens() -> None:
    joined = conditioning_concat(conditioning_combine(ONE, ONE), TWO).entries
    assert len(joined) == 2
    assert joined[0].embeddings.shape == (1, 231, 8)
    assert torch.equal(joined[0].embeddings[:, 77:], TWO.entries[0].embeddings)
    assert joined[0].pooled is ONE.entries[0].pooled


def test_averages() -> None:
    mixed = conditioning_average(ONE, TWO, 0.25).entries[0]
    wanted = ONE.entries[0].embeddings * 0.25 + TWO.entries[0].embeddings[:, :77] * 0.75
    torch.testing.assert_close(mixed.embeddings, wanted)
    longer = conditioning_average(TWO, ONE, 0.25).entries[0].embeddings
    torch.testing.assert_close(longer[:, 77:], TWO.entries[0].embeddings[:, 77:] * 0.25)
    assert mixed.pooled is not None
    only_from = conditioning_average(conditioning(1, pooled=False), TWO, 0.5).entries[0]
    assert only_from.pooled is TWO.entries[0].pooled


def test_conditionings_of_different_models_do_not_mix() -> None:
    other = conditioning(3, width=16)
    for mix in (conditioning_concat, lambda one, two: conditioning_average(one, two, 0.5)):
        with pytest.raises(InputError, match="one model"):
            mix(ONE, other)


def test_areas_masks_times_and_strengths() -> None:
    area = conditioning_set_area(ONE, 64, 128, 8, 16, 0.5).entries[0]
    assert (area.area, area.strength) == (Area(x=1, y=2, width=8, height=16), 0.5)
    share = conditioning_set_area_percentage(ONE, 0.5, 1.0, 0.25, 0.0).entries[0]
    assert share.area == Area(x=0.25, y=0.0, width=0.5, height=1.0, relative=True)
    assert conditioning_set_area_strength(ONE, 2.0).entries[0].strength == 2.0
    mask = Mask(torch.ones(1, 8, 8))
    masked = conditioning_set_mask(ONE, mask, 0.7, set_cond_area="mask bounds").entries[0]
    assert (masked.mask is mask.values, masked.mask_strength, masked.mask_bounds) == (True, 0.7, True)
    timed = conditioning_set_timestep_range(ONE, 0.2, 0.6).entries[0]
    assert (timed.start, timed.end) == (0.2, 0.6)
    assert timed.embeddings is ONE.entries[0].embeddings


def test_zeroed() -> None:
    zeroed = conditioning_zero_out(ONE).entries[0]
    assert zeroed.pooled is not None
    assert not zeroed.embeddings.any()
    assert not zeroed.pooled.any()
    assert ONE.entries[0].embeddings.any()
