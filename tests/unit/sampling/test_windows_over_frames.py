"""Windows over a long video hold every frame, are blended with weights above 0, and start from noise that goes on."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from diffusers.pipelines import free_noise_utils

from graphcore import InputError
from nodes.diffusion.codecs import ValueCodec
from nodes.diffusion.context_windows import shuffled_noise, weights_of, windows_at
from nodes.diffusion.noise import generator
from nodes.values import FileRef, Model
from nodes.video.context_options import ContextOption
from nodes.video.context_windows import context_windows
from tests.unit.sampling.toys import randn

SCHEDULES = ("standard_static", "standard_uniform", "looped_uniform", "batched")
MODEL = Model(file=FileRef(kind="checkpoints", name="sd1", fingerprint="x"))


def option(length: int = 16, overlap: int = 4, **more: Any) -> ContextOption:
    return ContextOption(length=length, overlap=overlap, **more)


def test_static_windows_end_at_the_last_frame() -> None:
    found = windows_at(option(), 36, 0)
    assert [(window[0], window[-1]) for window in found] == [(0, 15), (12, 27), (20, 35)]
    assert found == windows_at(option(), 36, 5), "they are the same at each step"


def test_batched_windows_follow_each_other() -> None:
    found = windows_at(option(schedule="batched"), 36, 0)
    assert [(window[0], window[-1]) for window in found] == [(0, 15), (16, 31), (32, 35)]


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_all_fit_in_one_window(schedule: Any) -> None:
    for frames in (1, 15, 16):
        assert windows_at(option(schedule=schedule), frames, 3) == [tuple(range(frames))]


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("closed", [False, True])
@pytest.mark.parametrize(
    ("length", "overlap", "stride"), [(16, 4, 1), (16, 8, 3), (8, 0, 2), (5, 4, 4), (1, 0, 1)]
)
def test_every_frame_is_in_a_window(
    schedule: Any, closed: bool, length: int, overlap: int, stride: int
) -> None:
    chosen = option(length, overlap, schedule=schedule, stride=stride, closed_loop=closed)
    for frames in (17, 24, 32, 33, 100):
        for step in range(6):
            windows = windows_at(chosen, frames, step)
            assert {frame for window in windows for frame in window} == set(range(frames))
            assert len(set(windows)) == len(windows)
            for window in windows:
                assert len(set(window)) == len(window) <= length
                if schedule != "batched":
                    assert len(window) == length
                if schedule != "looped_uniform":
                    assert list(window) == sorted(window), "only looped windows run over the end"


def test_uniform_windows_move_from_step_to_step() -> None:
    starts = [
        windows_at(option(schedule="looped_uniform", closed_loop=True), 32, step)[0][0] for step in range(4)
    ]
    assert starts == [0, 16, 8, 24], "0, 1/2, 1/4, 3/4 of the length"
    looped = windows_at(option(schedule="looped_uniform", closed_loop=True), 32, 1)
    assert any(window[-1] < window[0] for window in looped)


def test_strides_see_far_apart_frames() -> None:
    windows = windows_at(option(4, 1, schedule="standard_uniform", stride=3), 16, 0)
    gaps = {window[1] - window[0] for window in windows}
    assert gaps == {1, 2, 4}


def test_weights() -> None:
    window = tuple(range(4, 12))
    assert weights_of(option(8, 3, fuse="pyramid"), window, 20).tolist() == [1, 2, 3, 4, 4, 3, 2, 1]
    assert weights_of(option(5, 3), tuple(range(5)), 20).tolist() == [1, 2, 3, 2, 1]
    assert weights_of(option(8, 3, fuse="flat"), window, 20).tolist() == [1] * 8
    linear = option(8, 3, fuse="overlap-linear")
    torch.testing.assert_close(
        weights_of(linear, window, 20), torch.tensor([0, 0.5, 1, 1, 1, 1, 0.5, 0]), rtol=0, atol=1e-5
    )
    assert weights_of(linear, tuple(range(8)), 20)[:3].tolist() == [1, 1, 1], "the first frames are seen once"
    assert weights_of(linear, tuple(range(12, 20)), 20)[-3:].tolist() == [1, 1, 1]
    relative = weights_of(option(5, 2, fuse="relative"), tuple(range(5)), 20)
    torch.testing.assert_close(relative, torch.tensor([0.01, 0.5, 1, 0.5, 0.01]), rtol=0.01, atol=0.005)


@pytest.mark.parametrize("fuse", ["pyramid", "relative", "flat", "overlap-linear"])
def test_weights_are_above_zero(fuse: Any) -> None:
    for length, overlap in ((1, 0), (2, 1), (16, 15)):
        chosen = option(length, overlap, fuse=fuse)
        for window in windows_at(chosen, 40, 0):
            assert (weights_of(chosen, window, 40) > 0).all()


@pytest.mark.parametrize(("length", "overlap", "frames"), [(16, 4, 40), (8, 0, 32), (8, 6, 14)])
def test_noise_goes_on_as_in_diffusers(
    length: int, overlap: int, frames: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise = randn(frames, 4, 2, 2)
    drawn = noise[None].movedim(2, 1).clone()
    monkeypatch.setattr(free_noise_utils, "randn_tensor", lambda *arguments, **named: drawn)
    theirs = free_noise_utils.AnimateDiffFreeNoiseMixin._prepare_latents_free_noise(
        SimpleNamespace(  # type: ignore[arg-type]
            _free_noise_context_length=length,
            _free_noise_context_stride=length - overlap,
            _free_noise_noise_type="shuffle_context",
            vae_scale_factor=8,
        ),
        1,
        4,
        frames,
        16,
        16,
        torch.float64,
        torch.device("cpu"),
        generator(7),
    )
    ours = shuffled_noise(option(length, overlap), noise, 7)
    assert torch.equal(ours, theirs[0].movedim(1, 0))


def test_the_rest_of_shuffled_noise_is_that_of_frames_before() -> None:
    noise = randn(21, 1, 1, 1)
    ours = shuffled_noise(option(8, 2), noise, 7).flatten().tolist()
    assert ours[:8] == noise.flatten()[:8].tolist()
    assert sorted(ours[8:14]) == sorted(ours[0:6])
    assert sorted(ours[20:]) == sorted(ours[12:13])
    assert torch.equal(shuffled_noise(option(32, 2), noise, 7), noise)


def test_bad_windows_are_told() -> None:
    with pytest.raises(InputError, match="16 frames cannot share 16"):
        context_windows(MODEL, 16, 16, context_schedule="batched")
    with pytest.raises(InputError, match="dimension 0 and not 2"):
        context_windows(MODEL, 16, 4, context_schedule="batched", dim=2)


def test_the_option_survives_the_store() -> None:
    told = context_windows(MODEL, 24, 8, context_schedule="looped_uniform", closed_loop=True, freenoise=True)
    codec = ValueCodec()
    assert codec.decode(codec.encode(told)) == told
    assert told.options == (
        ContextOption(length=24, overlap=8, schedule="looped_uniform", closed_loop=True, free_noise=True),
    )
