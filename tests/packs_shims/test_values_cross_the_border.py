"""Values between this project's nodes and ComfyUI's: each way, and there and back."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import torch

from graphcore.errors import InputError
from nodes.control.steering import ClipVision
from nodes.packs.exchange import from_comfy, to_comfy
from nodes.packs.v3_media import VideoFromFile
from nodes.pictures.upscaling import UpscaleModel
from nodes.values import (
    Area,
    Audio,
    Clip,
    Conditioning,
    ConditioningEntry,
    FileRef,
    Image,
    Latent,
    Mask,
    Model,
    Sigmas,
    Vae,
    Video,
)

FILE = FileRef(kind="checkpoints", name="a.safetensors", fingerprint="1")


def test_pictures_masks_and_sigmas_are_tensors() -> None:
    pixels, values, sigmas = torch.rand(2, 8, 8, 3), torch.rand(1, 8, 8), torch.tensor([1.0, 0.0])
    assert to_comfy("IMAGE", Image(pixels)) is pixels
    assert to_comfy("*", Mask(values)) is values
    assert to_comfy("SIGMAS", Sigmas(sigmas)) is sigmas
    assert torch.equal(from_comfy("IMAGE", pixels[0]).pixels, pixels[:1])
    assert from_comfy("MASK", values[0]).values.shape == (1, 8, 8)
    assert from_comfy("MASK", values[None]).values.shape == (1, 8, 8)
    assert isinstance(from_comfy("SIGMAS", sigmas), Sigmas)
    assert from_comfy("IMAGE", pixels.half().requires_grad_()).pixels.dtype is torch.float32


def test_latents_are_dictionaries_and_keep_what_is_beside_them() -> None:
    latent = Latent(torch.rand(2, 4, 8, 8), noise_mask=torch.ones(1, 64, 64), batch_index=(3, 1))
    told = to_comfy("LATENT", latent)
    assert set(told) == {"samples", "noise_mask", "batch_index"}
    assert told["batch_index"] == [3, 1]
    back = from_comfy("LATENT", {**told, "noise_mask": torch.ones(1, 1, 64, 64), "type": "audio"})
    assert isinstance(back, Latent)
    assert back.noise_mask is not None
    assert back.noise_mask.shape == (1, 64, 64)
    assert back.batch_index == (3, 1)
    assert to_comfy("LATENT", back)["type"] == "audio"


def test_conditionings_are_lists_of_pairs() -> None:
    entry = ConditioningEntry(
        embeddings=torch.rand(1, 77, 8),
        pooled=torch.rand(1, 8),
        area=Area(x=1, y=2, width=3, height=4),
        strength=0.5,
        mask=torch.ones(1, 8, 8),
        mask_strength=0.25,
        start=0.1,
        end=0.9,
        size=(1024.0, 768.0, 0.0, 8.0, 512.0, 640.0),
    )
    ((embeddings, options),) = to_comfy("CONDITIONING", Conditioning((entry,)))
    assert embeddings is entry.embeddings
    assert options["area"] == (4, 3, 2, 1)
    assert (options["strength"], options["mask_strength"], options["start_percent"]) == (0.5, 0.25, 0.1)
    assert (options["height"], options["width"], options["crop_w"], options["target_width"]) == (
        1024,
        768,
        8,
        640,
    )
    (back,) = from_comfy("CONDITIONING", [[embeddings, {**options, "guidance": 3.5}]]).entries
    assert back.extra == (("guidance", 3.5),)
    for name in ("area", "strength", "mask_strength", "start", "end", "size"):
        assert getattr(back, name) == getattr(entry, name)
    relative = from_comfy("CONDITIONING", [[embeddings, {"area": ("percentage", 0.5, 1.0, 0.0, 0.25)}]])
    assert relative.entries[0].area == Area(x=0.25, y=0.0, width=1.0, height=0.5, relative=True)


def test_a_controlnet_that_a_pack_has_loaded_is_refused() -> None:
    with pytest.raises(InputError, match="ControlNet of its own"):
        from_comfy("CONDITIONING", [[torch.rand(1, 77, 8), {"control": object()}]])


@pytest.mark.parametrize(
    "value",
    [Model(file=FILE), Clip(files=(FILE,)), Vae(file=FILE), ClipVision(file=FILE), UpscaleModel(file=FILE)],
)
def test_references_have_faces_and_come_back_as_they_were(value: object) -> None:
    face = to_comfy("*", value)
    assert face is not value
    assert from_comfy("*", face) == value
    with pytest.raises(AttributeError, match="has no 'nothing_like_that'"):
        _ = face.nothing_like_that


def test_wildcards_are_told_apart_by_the_value() -> None:
    assert isinstance(from_comfy("*", torch.rand(1, 8, 8, 3)), Image)
    assert isinstance(from_comfy("*", torch.rand(1, 8, 8)), Mask)
    assert isinstance(from_comfy("COMFY_MATCHTYPE_V3", {"samples": torch.rand(1, 4, 8, 8)}), Latent)
    assert isinstance(from_comfy("IMAGE,MASK", torch.rand(1, 8, 8)), Mask)
    assert isinstance(from_comfy("*", [[torch.rand(1, 77, 8), {}]]), Conditioning)
    for other in (3, "text", [1, 2], {"a": 1}, torch.zeros(3, dtype=torch.int64), None):
        assert from_comfy("*", other) is other
    unknown = torch.rand(1, 8, 8)
    assert from_comfy("DEPTH", unknown) is unknown


def test_options_of_one_face_are_not_those_of_another() -> None:
    model = to_comfy("MODEL", Model(file=FILE))
    first = model.clone()
    first.set_model_sampler_post_cfg_function(lambda args: args["denoised"])
    second = first.clone()
    second.model_options["transformer_options"]["mine"] = 1
    assert first.model_options["transformer_options"] == {}
    assert from_comfy("MODEL", model) == Model(file=FILE)
    again = to_comfy("MODEL", from_comfy("MODEL", second))
    assert again.model_options["transformer_options"] == {"mine": 1}
    assert len(again.model_options["sampler_post_cfg_function"]) == 1


def test_sound_is_a_dictionary() -> None:
    audio = Audio(waveform=torch.rand(2, 100), sample_rate=8000)
    told = to_comfy("AUDIO", audio)
    assert told["waveform"].shape == (1, 2, 100)
    back = from_comfy("AUDIO", told)
    assert torch.equal(back.waveform, audio.waveform)
    assert back.sample_rate == 8000
    several = {"waveform": torch.rand(3, 1, 100), "sample_rate": 8000}
    assert from_comfy("AUDIO", several) is several
    assert isinstance(from_comfy("*", told), Audio)


def test_videos_are_objects_with_components() -> None:
    audio = Audio(waveform=torch.rand(1, 100), sample_rate=100)
    video = Video(frames=Image(torch.rand(4, 8, 6, 3)), fps=2.0, audio=audio)
    told = to_comfy("VIDEO", video)
    assert (told.get_dimensions(), told.get_duration(), told.get_frame_count()) == ((6, 8), 2.0, 4)
    parts = told.get_components()
    assert parts.audio["sample_rate"] == 100
    back = from_comfy("*", told)
    assert back.fps == 2.0
    assert torch.equal(back.frames.pixels, video.frames.pixels)
    assert torch.equal(back.audio.waveform, audio.waveform)


def test_videos_are_files_and_streams(tmp_path: Path) -> None:
    pytest.importorskip("av")
    video = to_comfy("VIDEO", Video(frames=Image(torch.rand(4, 16, 16, 3)), fps=4.0))
    video.save_to(tmp_path / "a.mp4", metadata={"prompt": {"1": {}}})
    stream = io.BytesIO()
    video.save_to(stream)
    for file in (str(tmp_path / "a.mp4"), stream):
        read = VideoFromFile(file)
        assert (read.get_frame_count(), read.get_dimensions(), read.get_duration()) == (4, (16, 16), 1.0)
        assert isinstance(from_comfy("VIDEO", read), Video)
