"""An invisible watermark is not seen, survives JPEG, noise and resizing, and is not found where there is none."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image as Pillow
from scipy.ndimage import gaussian_filter

from graphcore import InputError, detached_context
from nodes.diffusion.watermark import marked, read_mark
from nodes.safety.watermark import detect_watermark, embed_watermark
from nodes.values import Image

Picture = np.ndarray


def rough(height: int, width: int) -> Picture:
    """A picture with structure of every size, as photographs have."""
    stream = np.random.default_rng(5)
    sizes = (1, 2, 4, 8, 16)
    field = sum(gaussian_filter(stream.standard_normal((height, width, 3)), (s, s, 0)) * s for s in sizes)
    return (field - field.min()) / np.ptp(field)


def drawing(height: int, width: int) -> Picture:
    """Flat colours with hard edges."""
    picture = np.ones((height, width, 3))
    picture[height // 3 :, : width // 2] = (0.8, 0.1, 0.1)
    picture[: height // 4, width // 2 :] = (0.1, 0.2, 0.9)
    return picture


PICTURES = {
    "rough": rough(512, 384),
    "drawing": drawing(256, 320),
    "small": drawing(128, 128),
    "white": np.ones((256, 256, 3)),
    "black": np.zeros((200, 300, 3)),
}


def jpeg(picture: Picture, quality: int = 85) -> Picture:
    stream = io.BytesIO()
    Pillow.fromarray((picture * 255).round().astype(np.uint8)).save(stream, "JPEG", quality=quality)
    return np.asarray(Pillow.open(stream)) / 255.0


def resized(
    picture: Picture, factor: float, method: Pillow.Resampling = Pillow.Resampling.BICUBIC
) -> Picture:
    source = Pillow.fromarray((picture * 255).round().astype(np.uint8))
    size = (round(source.width * factor), round(source.height * factor))
    return np.asarray(source.resize(size, method)) / 255.0


def noisy(picture: Picture) -> Picture:
    return np.clip(picture + np.random.default_rng(1).normal(0, 0.02, picture.shape), 0, 1)


HARMS: dict[str, Callable[[Picture], Picture]] = {
    "nothing": lambda picture: picture,
    "jpeg 85": jpeg,
    "smaller": lambda picture: resized(picture, 0.9),
    "larger": lambda picture: resized(picture, 1.15, Pillow.Resampling.LANCZOS),
    "smaller, then jpeg": lambda picture: jpeg(resized(picture, 0.9), 90),
    "noise": noisy,
    "grey": lambda picture: np.repeat((picture @ np.array((0.299, 0.587, 0.114)))[..., None], 3, -1),
}


@pytest.mark.parametrize("harm", HARMS)
@pytest.mark.parametrize("name", PICTURES)
def test_it_is_read_after_harm(name: str, harm: str) -> None:
    found = read_mark(HARMS[harm](marked(PICTURES[name], "gcore7", key=3)), key=3)
    assert found.text == "gcore7"


@pytest.mark.parametrize("name", PICTURES)
def test_it_is_not_seen(name: str) -> None:
    picture = np.round(PICTURES[name] * 255) / 255
    error = np.mean((marked(picture, "gcore7") - picture) ** 2)
    assert 10 * np.log10(1 / error) > 36


@pytest.mark.parametrize("name", PICTURES)
def test_it_is_not_found_where_there_is_none(name: str) -> None:
    assert read_mark(PICTURES[name]).text is None
    assert read_mark(marked(PICTURES[name], "gcore7", key=3), key=4).text is None


@pytest.mark.parametrize("text", ["", "ü€", "日本", "a"])
def test_any_text_of_six_bytes(text: str) -> None:
    assert read_mark(marked(PICTURES["drawing"], text)).text == text


def test_mistakes_are_told() -> None:
    with pytest.raises(InputError, match="6 at most"):
        marked(PICTURES["drawing"], "too long")
    with pytest.raises(InputError, match="96 a side"):
        marked(np.ones((64, 200, 3)), "x")


def test_the_nodes_keep_batches_apart() -> None:
    pixels = torch.from_numpy(np.stack([PICTURES["drawing"], 1 - PICTURES["drawing"]])).float()
    both = embed_watermark(detached_context(), Image(pixels), "one", 8)
    plain = Image(torch.cat([both.pixels[:1], pixels[1:]]))
    found = detect_watermark(detached_context(), plain, 8)
    assert list(found.found) == [True, False]
    assert list(found.texts) == ["one", ""]
    assert found.clearness.items[0] > 0.2
