"""Sounds are read, written with their workflow, cut, joined and mixed; bad ones are told."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from graphcore import Context, Graph, InputError, detached_context
from nodes.diffusion.sound_files import read_sound, sound_bytes
from nodes.diffusion.sounds import resampled
from nodes.values import Audio, Image
from nodes.video.audio import (
    audio_adjust_volume,
    audio_concat,
    audio_merge,
    empty_audio,
    load_audio,
    preview_audio,
    save_audio,
    save_audio_mp3,
    save_audio_opus,
    split_audio_channels,
    trim_audio_duration,
)
from nodes.video.files import create_video, get_video_components, load_video, save_video
from tests.tiny_engine import all_nodes, tiny_engine

av = pytest.importorskip("av")


@pytest.fixture
def ctx(tmp_path: Path) -> Context:
    for name in ("input", "output"):
        (tmp_path / name).mkdir()
    return detached_context(
        output_dir=tmp_path / "output", input_dir=tmp_path / "input", temp_dir=tmp_path / "temp"
    )


def tone(seconds: float = 1.0, rate: int = 44100, *pitches: float) -> Audio:
    """A sine for each channel."""
    time = torch.arange(round(seconds * rate)) / rate
    waves = [0.5 * torch.sin(2 * math.pi * pitch * time) for pitch in pitches or (440.0, 660.0)]
    return Audio(waveform=torch.stack(waves), sample_rate=rate)


def saved(ctx: Context) -> Path:
    item = ctx.shown[-1]
    assert ctx.shown[-1]["type"] in ("output", "temp")
    folder = ctx.files.output_dir if item["type"] == "output" else ctx.files.temp_dir
    return folder / str(item["subfolder"]) / str(item["filename"])


def test_flac_comes_back_within_sixteen_bits(ctx: Context) -> None:
    sound = tone()
    save_audio(ctx, sound)
    path = saved(ctx)
    assert path.name == "ComfyUI_00001_.flac"
    (ctx.files.input_dir / "a.flac").write_bytes(path.read_bytes())
    found = load_audio(ctx, "a.flac")
    assert found.sample_rate == 44100
    torch.testing.assert_close(found.waveform, sound.waveform, rtol=0, atol=2 / 2**15)
    preview_audio(ctx, tone(0.2, 44100, 300.0))
    assert read_sound(saved(ctx)).waveform.shape == (1, 8820)


def pitch(waveform: Tensor, rate: int) -> float:
    """The loudest frequency."""
    spectrum = torch.fft.rfft(waveform).abs()
    return float(spectrum.argmax()) * rate / waveform.shape[-1]


@pytest.mark.parametrize(
    ("save", "quality", "rate"),
    [
        (save_audio_mp3, "V0", 44100),
        (save_audio_mp3, "128k", 44100),
        (save_audio_mp3, "320k", 48000),
        (save_audio_opus, "64k", 44100),
        (save_audio_opus, "320k", 16000),
    ],
)
def test_compressed_sounds_keep_their_pitch(ctx: Context, save: Any, quality: str, rate: int) -> None:
    save(ctx, tone(2.0, rate), "x", quality)
    found = read_sound(saved(ctx))
    assert found.sample_rate == (48000 if save is save_audio_opus else rate)
    assert found.waveform.shape[0] == 2
    assert found.waveform.shape[1] / found.sample_rate == pytest.approx(2.0, abs=0.1)
    assert pitch(found.waveform[0], found.sample_rate) == pytest.approx(440, abs=2)
    assert pitch(found.waveform[1], found.sample_rate) == pytest.approx(660, abs=2)


def test_a_variable_bit_rate_spends_less_on_little() -> None:
    quiet = torch.zeros(2, 44100 * 4)
    sizes = [len(sound_bytes(quiet, 44100, "mp3", quality=quality)) for quality in ("V0", "320k")]
    assert sizes[0] < sizes[1] / 3


def test_sounds_carry_their_workflow(tmp_path: Path) -> None:
    graph = Graph(all_nodes())
    graph.SaveAudio(audio=graph.EmptyAudio(duration=0.5), filename_prefix="x")
    with tiny_engine(tmp_path, tmp_path / "models") as engine:
        assert engine.run(graph.workflow()).succeeded
    with av.open(str(tmp_path / "output" / "x_00001_.flac")) as container:
        texts = dict(container.metadata)
    assert any("EmptyAudio" in text for text in texts.values())
    prompt = next(text for name, text in texts.items() if name.lower() == "prompt")
    assert json.loads(prompt)


def test_a_sound_goes_with_a_video(ctx: Context) -> None:
    pictures = Image(torch.rand(8, 32, 32, 3))
    save_video(ctx, create_video(pictures, 8.0, tone(1.0)), "v")
    (ctx.files.input_dir / "v.mp4").write_bytes(saved(ctx).read_bytes())
    of_file, of_video = load_audio(ctx, "v.mp4"), get_video_components(load_video(ctx, "v.mp4")).audio
    assert of_video is not None
    assert torch.equal(of_file.waveform, of_video.waveform)
    assert pitch(of_file.waveform[0], of_file.sample_rate) == pytest.approx(440, abs=3)


def test_cutting() -> None:
    sound = Audio(waveform=torch.arange(1000.0)[None], sample_rate=100)
    assert trim_audio_duration(sound, 2.0, 3.0).waveform[0, [0, -1]].tolist() == [200, 499]
    assert trim_audio_duration(sound, -2.0, 60.0).waveform[0, [0, -1]].tolist() == [800, 999]
    assert trim_audio_duration(sound, -1e12, 1.0).waveform[0, [0, -1]].tolist() == [0, 99]
    assert trim_audio_duration(sound, 1e18, 1e18).waveform[0].tolist() == [999]
    with pytest.raises(InputError, match="Nothing is left of 10 seconds"):
        trim_audio_duration(sound, 2.0, 0.0)


def test_channels() -> None:
    sound = tone()
    left, right = split_audio_channels(sound)
    assert torch.equal(left.waveform, sound.waveform[:1])
    assert torch.equal(right.waveform, sound.waveform[1:])
    with pytest.raises(InputError, match="1 channels"):
        split_audio_channels(left)


def test_one_after_the_other() -> None:
    one, other = tone(0.5), tone(0.25, 44100, 200.0)
    joined = audio_concat(one, other, "after").waveform
    assert torch.equal(joined[:, :22050], one.waveform)
    assert torch.equal(joined[:, 22050:], other.waveform.expand(2, -1))
    assert torch.equal(audio_concat(one, other, "before").waveform[:, -22050:], one.waveform)
    slow = audio_concat(one, tone(0.5, 22050), "after")
    assert slow.sample_rate == 44100
    assert slow.waveform.shape[1] == pytest.approx(44100, abs=50)
    assert pitch(slow.waveform[0, 22050:], 44100) == pytest.approx(440, abs=3)


@pytest.mark.parametrize(
    ("method", "expected"), [("add", 0.75), ("subtract", 0.25), ("multiply", 0.125), ("mean", 0.375)]
)
def test_mixing(method: Any, expected: float) -> None:
    one = Audio(waveform=torch.full((2, 100), 0.5), sample_rate=100)
    other = Audio(waveform=torch.full((1, 60), 0.25), sample_rate=100)
    found = audio_merge(one, other, merge_method=method).waveform
    assert found.shape == (2, 100)
    assert found[:, 0].tolist() == pytest.approx([expected] * 2)
    assert found[:, 80].tolist() == pytest.approx([{"multiply": 0.0, "mean": 0.25}.get(method, 0.5)] * 2)
    loud = audio_merge(one, Audio(waveform=torch.full((2, 400), 1.5), sample_rate=100), merge_method="add")
    assert loud.waveform.shape == (2, 100)
    assert float(loud.waveform.abs().max()) == pytest.approx(1.0)


def test_volume_is_in_decibels() -> None:
    sound = tone()
    torch.testing.assert_close(audio_adjust_volume(sound, -20).waveform, sound.waveform * 0.1)
    assert torch.equal(audio_adjust_volume(sound, 0).waveform, sound.waveform)


def test_bad_sounds_are_told(ctx: Context) -> None:
    (ctx.files.input_dir / "no.flac").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"'no\.flac' cannot be read as sound"):
        load_audio(ctx, "no.flac")
    save_video(ctx, create_video(Image(torch.rand(2, 32, 32, 3)), 8.0), "mute")
    (ctx.files.input_dir / "mute.mp4").write_bytes(saved(ctx).read_bytes())
    with pytest.raises(InputError, match="it holds no sound"):
        load_audio(ctx, "mute.mp4")
    with pytest.raises(InputError, match="5 channels; give it one or two"):
        save_audio(ctx, Audio(waveform=torch.zeros(5, 10), sample_rate=100))
    with pytest.raises(InputError, match="too many"):
        empty_audio(1e15)
    assert empty_audio(0.5, 100, 1).waveform.tolist() == [[0.0] * 50]
    with pytest.raises(InputError, match="3 channels and the other 2"):
        audio_concat(Audio(waveform=torch.zeros(3, 10), sample_rate=100), tone(0.1, 100))


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("quality", ["64k", "320k"])
def test_opus_is_never_asked_for_more_than_it_can_do(channels: int, quality: str) -> None:
    assert sound_bytes(torch.zeros(channels, 4800), 48000, "opus", quality=quality).startswith(b"OggS")


@pytest.mark.parametrize("format", ["flac", "mp3", "opus"])
def test_a_sound_without_samples_is_told(format: str) -> None:
    with pytest.raises(InputError, match="has no samples"):
        sound_bytes(torch.zeros(2, 0), 48000, format)


def test_a_rate_that_a_format_does_not_know_is_told() -> None:
    with pytest.raises(InputError, match="8 samples a second cannot be saved as mp3"):
        sound_bytes(torch.zeros(1, 100), 8, "mp3")


def test_a_sound_shorter_than_a_sample_of_another_rate_becomes_none() -> None:
    assert resampled(Audio(waveform=torch.zeros(1, 1), sample_rate=48000), 8).shape[0] == 1
