"""Animations and videos are written with their workflow, at their speed, and can be read back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from PIL import Image as Pillow

from graphcore import Context, Graph, InputError, detached_context, read_workflow
from nodes.diffusion.animations import even_sides, read_video, video_bytes
from nodes.values import Audio, Image, Video
from nodes.video.files import (
    create_video,
    get_video_components,
    load_video,
    save_animated_png,
    save_animated_webp,
)
from tests.tiny_engine import all_nodes, tiny_engine

av = pytest.importorskip("av")


def frames(count: int = 5, height: int = 48, width: int = 64) -> Image:
    """A bright square that moves to the right."""
    pixels = torch.full((count, height, width, 3), 0.1)
    for number in range(count):
        pixels[number, 8:24, 8 * number : 8 * number + 16] = torch.tensor((0.9, 0.5, 0.1))
    return Image((pixels * 255).round() / 255)


@pytest.fixture
def ctx(tmp_path: Path) -> Context:
    return detached_context(output_dir=tmp_path / "output", input_dir=tmp_path / "input")


def saved(ctx: Context) -> Path:
    item = ctx.shown[-1]
    return ctx.files.output_dir / str(item["subfolder"]) / str(item["filename"])


def test_animated_webp(ctx: Context) -> None:
    save_animated_webp(ctx, frames(), "a", 8.0, True, 80, method="default")
    with Pillow.open(saved(ctx)) as opened:
        assert opened.n_frames == 5  # type: ignore[attr-defined]
        opened.seek(2)
        opened.load()
        assert opened.info["duration"] == 125
        assert opened.convert("RGB").getpixel((20, 12)) == (230, 128, 26)


def test_animated_png(ctx: Context) -> None:
    save_animated_png(ctx, frames(), "a", 10.0, 4)
    with Pillow.open(saved(ctx)) as opened:
        assert opened.n_frames == 5  # type: ignore[attr-defined]
        assert opened.info["duration"] == 100


@pytest.mark.parametrize(
    ("node", "inputs"), [("SaveAnimatedWEBP", {"method": "fastest"}), ("SaveAnimatedPNG", {})]
)
def test_animations_carry_their_workflow(node: str, inputs: dict[str, str], tmp_path: Path) -> None:
    graph = Graph(all_nodes())
    made = graph.add(
        node, images=graph.EmptyImage(width=32, height=32, batch_size=2), node_id="save", **inputs
    )
    assert made.id == "save"
    with tiny_engine(tmp_path, tmp_path) as engine:
        result = engine.run(graph.workflow(), targets=["save"])
        path = engine.files.output_dir / str(result.shown["save"][0]["filename"])
        again = read_workflow(path, engine.registry)
    assert again.nodes["save"].type == node


@pytest.mark.parametrize("codec", ["h264", "vp9", "av1"])
@pytest.mark.parametrize("size", [(48, 64), (49, 65)])
def test_videos_are_read_back(codec: str, size: tuple[int, int], tmp_path: Path) -> None:
    video = Video(frames=frames(6, *size), fps=12.5)
    path = tmp_path / "video.mp4"
    path.write_bytes(video_bytes(video, codec, {"prompt": '{"a": 1}'}, crf=10))  # type: ignore[arg-type]
    again = read_video(path)
    wanted = even_sides(video.frames.pixels)
    assert again.frames.pixels.shape == wanted.shape
    assert float((again.frames.pixels - wanted).abs().mean()) < 0.03
    assert again.fps == pytest.approx(12.5)
    assert again.audio is None
    with av.open(str(path)) as container:
        metadata = {name.lower(): text for name, text in container.metadata.items()}
    assert json.loads(metadata["prompt"]) == {"a": 1}


def test_sound_stays_with_its_video(tmp_path: Path) -> None:
    time = torch.arange(22050) / 44100
    wave = torch.stack([torch.sin(2 * torch.pi * 440 * time), torch.sin(2 * torch.pi * 220 * time)]) * 0.5
    video = create_video(frames(), 10.0, Audio(waveform=wave, sample_rate=44100))
    path = tmp_path / "video.mp4"
    path.write_bytes(video_bytes(video, "h264", {}))
    components = get_video_components(read_video(path))
    assert components.audio is not None
    assert components.audio.sample_rate == 44100
    assert components.audio.waveform.shape[0] == 2
    assert components.audio.waveform.shape[1] / 44100 == pytest.approx(0.5, abs=0.06)
    loudness = components.audio.waveform[:, 4000:18000].pow(2).mean(dim=1).sqrt()
    torch.testing.assert_close(loudness, torch.full((2,), 0.5 / 2**0.5), atol=0.02, rtol=0)


def test_a_video_goes_through_a_workflow(tmp_path: Path) -> None:
    graph = Graph(all_nodes())
    loaded = graph.GetVideoComponents(video=graph.LoadVideo(file="in.mp4"))
    graph.SaveVideo(
        video=graph.CreateVideo(images=graph.ImageInvert(image=loaded.images), fps=loaded.fps), node_id="save"
    )
    with tiny_engine(tmp_path, tmp_path) as engine:
        (engine.files.input_dir / "in.mp4").write_bytes(
            video_bytes(Video(frames=frames(), fps=5), "h264", {})
        )
        result = engine.run(graph.workflow(), targets=["save"])
        item = result.shown["save"][0]
        again = read_video(engine.files.output_dir / str(item["subfolder"]) / str(item["filename"]))
    assert item["subfolder"] == "video"
    assert float((again.frames.pixels - (1 - frames().pixels)).abs().mean()) < 0.05


@pytest.mark.parametrize("data", [b"", b"no video at all", b"\x00\x00\x00\x18ftypmp42" + bytes(64)])
def test_damaged_videos(data: bytes, ctx: Context) -> None:
    ctx.files.input_dir.mkdir()
    (ctx.files.input_dir / "bad.mp4").write_bytes(data)
    with pytest.raises(InputError, match="cannot be read as a video"):
        load_video(ctx, "bad.mp4")
