"""Frames of a video are left out, replaced, and evened at its beginning."""

from __future__ import annotations

import pytest
import torch

from graphcore import Context, InputError, detached_context
from nodes.latents.frames import (
    normalize_video_latent_start,
    replace_video_latent_frames,
    trim_video_latent,
)
from nodes.values import Latent
from tests.unit.sampling.toys import randn

VIDEO = Latent(randn(10, 4, 6, 8).float())
OTHER = Latent(randn(3, 4, 6, 8, seed=1).float())


@pytest.fixture
def ctx() -> Context:
    return detached_context()


def test_the_first_frames_are_left_out_and_the_others_keep_their_noise() -> None:
    masked = Latent(VIDEO.samples, torch.arange(10.0).reshape(-1, 1, 1).expand(10, 6, 8))
    found = trim_video_latent(masked, 4)
    assert torch.equal(found.samples, VIDEO.samples[4:])
    assert found.batch_index == (4, 5, 6, 7, 8, 9)
    assert found.noise_mask is not None
    assert found.noise_mask[:, 0, 0].tolist() == [4, 5, 6, 7, 8, 9]
    assert trim_video_latent(VIDEO, 0) is VIDEO


def test_a_video_without_frames_is_none() -> None:
    with pytest.raises(InputError, match="10 frames and 10 are to be left out"):
        trim_video_latent(VIDEO, 10)


@pytest.mark.parametrize(("index", "start"), [(0, 0), (7, 7), (-3, 7), (-10, 0)])
def test_frames_are_replaced(ctx: Context, index: int, start: int) -> None:
    found = replace_video_latent_frames(ctx, VIDEO, index, OTHER).samples
    expected = VIDEO.samples.clone()
    expected[start : start + 3] = OTHER.samples
    assert torch.equal(found, expected)


@pytest.mark.parametrize("index", [8, -2, -11, 100])
def test_frames_that_do_not_fit_replace_none_and_it_is_told(ctx: Context, index: int) -> None:
    assert replace_video_latent_frames(ctx, VIDEO, index, OTHER) is VIDEO


def test_no_source_changes_nothing(ctx: Context) -> None:
    assert replace_video_latent_frames(ctx, VIDEO) is VIDEO


def test_frames_of_another_size_or_family(ctx: Context) -> None:
    with pytest.raises(InputError, match="6 x 8 cells and the other 6 x 6"):
        replace_video_latent_frames(ctx, VIDEO, source=Latent(torch.zeros(1, 4, 6, 6)))
    with pytest.raises(InputError, match="4 channels and the other 16"):
        replace_video_latent_frames(ctx, VIDEO, source=Latent(torch.zeros(1, 16, 6, 8)))


def test_the_start_is_evened_within_limits() -> None:
    samples = VIDEO.samples.clone()
    samples[0] = samples[0] * 1.2 + 0.1
    samples[1] += 5
    samples[2] *= 3
    found = normalize_video_latent_start(Latent(samples), 3, 4).samples
    later = samples[3:7]
    assert torch.equal(found[3:], samples[3:])
    assert float(found[0].mean()) == pytest.approx(float(later.mean()), abs=1e-4)
    assert float(found[0].std()) == pytest.approx(float(later.std()), abs=1e-4)
    assert float(found[1].mean()) == pytest.approx(float(samples[1].mean()) - 0.3, abs=1e-4)
    assert float(found[2].std()) == pytest.approx(float(samples[2].std()) - 0.35, abs=1e-3)
    assert torch.equal(normalize_video_latent_start(VIDEO, 10, 4).samples, VIDEO.samples)
