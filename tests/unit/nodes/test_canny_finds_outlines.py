"""Canny: outlines become thin closed lines, thresholds mean what they say, and weak lines live only beside strong."""

from __future__ import annotations

import pytest
import torch

from graphcore.errors import InputError
from nodes.control.preprocessors import canny
from nodes.values import Image


def _square(brightness: float, side: int = 48) -> Image:
    pixels = torch.zeros(1, side, side, 3)
    pixels[:, 12:36, 12:36] = brightness
    return Image(pixels)


def test_a_square_has_a_thin_closed_outline() -> None:
    lines = canny(_square(1.0)).pixels[0, ..., 0]
    assert set(lines.unique().tolist()) == {0.0, 1.0}
    assert lines[16:32, 16:32].sum() == 0
    assert lines[:9].sum() == 0
    for row in range(16, 32):
        assert lines[row].sum() == 2
    assert 80 <= int(lines.sum()) <= 100


def test_a_faint_square_has_none_and_a_lower_threshold_finds_it() -> None:
    assert canny(_square(0.15)).pixels.sum() == 0
    assert canny(_square(0.15), low_threshold=0.1, high_threshold=0.2).pixels.sum() > 0


def test_weak_lines_are_kept_where_they_touch_strong_ones() -> None:
    pixels = torch.zeros(1, 40, 40, 3)
    pixels[:, :, 20:] = torch.linspace(0.2, 1.0, 40).view(1, 40, 1, 1)
    joined = canny(Image(pixels), 0.4, 0.8).pixels[0, ..., 0]
    assert joined[2].sum() == 1
    weak_alone = canny(Image(pixels * 0.25), 0.4, 0.99).pixels
    assert weak_alone.sum() == 0


def test_pictures_of_a_batch_do_not_touch_each_other() -> None:
    both = Image(torch.cat([_square(1.0).pixels, torch.zeros(1, 48, 48, 3)]))
    lines = canny(both).pixels
    assert torch.equal(lines[:1], canny(_square(1.0)).pixels)
    assert lines[1].sum() == 0


def test_exchanged_thresholds_are_named() -> None:
    with pytest.raises(InputError, match="low threshold"):
        canny(_square(1.0), low_threshold=0.9, high_threshold=0.2)


@pytest.mark.parametrize("size", [(1, 1), (2, 7), (3, 3)])
def test_tiny_pictures_work(size: tuple[int, int]) -> None:
    assert canny(Image(torch.rand(1, *size, 3))).pixels.shape == (1, *size, 3)


def test_transparency_is_no_outline() -> None:
    square = _square(1.0)
    clear = torch.rand(*square.pixels.shape[:3], 1, generator=torch.Generator().manual_seed(1))
    shown = canny(Image(torch.cat([square.pixels, clear], dim=-1)))
    assert torch.equal(shown.pixels, canny(square).pixels)
