"""Nodes on pictures."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from graphcore import InputError
from nodes.diffusion.inpainting import greyed_out
from nodes.pictures.images import (
    empty_image,
    get_image_size,
    image_batch,
    image_blend,
    image_blur,
    image_composite_masked,
    image_crop,
    image_flip,
    image_from_batch,
    image_invert,
    image_pad_for_outpaint,
    image_rotate,
    image_scale,
    image_scale_by,
    image_scale_to_max_dimension,
    image_scale_to_total_pixels,
    image_sharpen,
    image_sheet,
    repeat_image_batch,
)
from nodes.values import Image, Mask
from tests.random_tensors import seeded_pixels

IMAGE = Image(seeded_pixels(2, 12, 18, 3))


def size(image: Image) -> tuple[int, int]:
    return image.pixels.shape[2], image.pixels.shape[1]


def test_sizes() -> None:
    assert size(image_scale(IMAGE, "bilinear", 36, 0, crop="disabled")) == (36, 24)
    assert size(image_scale(IMAGE, "bilinear", 0, 6, crop="disabled")) == (9, 6)
    assert image_scale(IMAGE, "bilinear", 0, 0, crop="disabled") is IMAGE
    assert size(image_scale_by(IMAGE, "area", 0.5)) == (9, 6)
    assert size(image_scale_to_total_pixels(IMAGE, "bilinear", 0.01)) == (125, 84)
    assert size(image_scale_to_total_pixels(IMAGE, "bilinear", 0.01, 8)) == (128, 80)
    assert size(image_scale_to_max_dimension(IMAGE, "bilinear", 90)) == (90, 60)
    assert get_image_size(IMAGE) == (18, 12, 2)


def test_a_size_of_nothing_is_told() -> None:
    with pytest.raises(InputError, match="is empty"):
        image_scale_by(IMAGE, "bilinear", 0.01)


@pytest.mark.parametrize("method", ["nearest-exact", "bilinear", "area", "bicubic", "lanczos"])
def test_values_stay_in_range(method: str) -> None:
    larger = image_scale_by(IMAGE, method, 2.5).pixels
    assert larger.min() >= 0
    assert larger.max() <= 1


def test_lanczos_is_pillows() -> None:
    mild = Image(IMAGE.pixels * 0.3 + 0.3)
    array = (mild.pixels[0] * 255).round().byte().numpy()
    wanted = (
        np.asarray(Pillow.fromarray(array).resize((40, 30), Pillow.Resampling.LANCZOS), dtype=np.float32)
        / 255
    )
    ours = image_scale(mild, "lanczos", 40, 30, crop="disabled").pixels[0]
    torch.testing.assert_close(ours, torch.from_numpy(wanted), atol=1.5 / 255, rtol=0)


def test_cropping_to_the_aspect() -> None:
    square = image_scale(IMAGE, "nearest-exact", 12, 12, crop="center").pixels
    assert torch.equal(square, IMAGE.pixels[:, :, 3:15])


def test_cutting_turning_mirroring() -> None:
    assert torch.equal(image_crop(IMAGE, 4, 5, 2, 3).pixels, IMAGE.pixels[:, 3:8, 2:6])
    assert size(image_crop(IMAGE, 500, 500, 17, 11)) == (1, 1)
    assert torch.equal(image_flip(IMAGE, "y-axis: horizontally").pixels[:, :, 0], IMAGE.pixels[:, :, -1])
    turned = image_rotate(IMAGE, "90 degrees").pixels
    assert turned.shape == (2, 18, 12, 3)
    assert torch.equal(turned[:, 0, -1], IMAGE.pixels[:, 0, 0])
    assert torch.equal(image_rotate(IMAGE, "180 degrees").pixels, IMAGE.pixels.flip(1, 2))
    assert torch.equal(image_invert(IMAGE).pixels, 1 - IMAGE.pixels)


def test_batches() -> None:
    both = image_batch(IMAGE, empty_image(36, 12, 1, 0xFF0000))
    assert both.pixels.shape == (3, 12, 18, 3)
    assert both.pixels[2, 5, 5].tolist() == [1, 0, 0]
    assert torch.equal(image_from_batch(both, 1, 1).pixels[0], IMAGE.pixels[1])
    assert image_from_batch(both, 99, 99).pixels.shape[0] == 1
    assert repeat_image_batch(IMAGE, 3).pixels.shape[0] == 6


@pytest.mark.parametrize(
    "grow",
    [
        lambda: repeat_image_batch(IMAGE, 4096 * 4096),
        lambda: image_scale(repeat_image_batch(IMAGE, 4), "bilinear", 16384, 16384, crop="disabled"),
        lambda: image_pad_for_outpaint(IMAGE, 16384, 16384, 16384, 16384),
    ],
)
def test_pictures_have_a_budget(grow: Callable[[], object]) -> None:
    with pytest.raises(InputError, match="over the limit"):
        grow()


def test_a_sheet_goes_row_by_row() -> None:
    colours = [empty_image(8, 6, 1, colour) for colour in (0xFF0000, 0x00FF00, 0x0000FF)]
    sheet = image_sheet(colours, 2, 3).pixels[0]
    assert sheet.shape == (15, 19, 3)
    assert [sheet[0, 0].tolist(), sheet[0, 18].tolist(), sheet[14, 0].tolist()] == [
        [1, 0, 0],
        [0, 1, 0],
        [0, 0, 1],
    ]
    assert sheet[14, 18].tolist() == [1, 1, 1]
    assert image_sheet(colours, 0, 0).pixels.shape == (1, 12, 16, 3)
    with pytest.raises(InputError, match="no picture"):
        image_sheet([], 2, 3)


def test_borders_for_outpainting() -> None:
    image, mask = image_pad_for_outpaint(empty_image(40, 40), 8, 0, 0, 16, 8)
    assert image.pixels.shape == (1, 56, 48, 3)
    assert image.pixels[0, 0, 0].tolist() == [0.5] * 3
    values = mask.values[0]
    assert values.shape == (56, 48)
    assert values[:, :8].eq(1).all()
    assert values[40:].eq(1).all()
    assert values[0, 8:18].tolist() == pytest.approx([((8 - d) / 8) ** 2 if d < 8 else 0 for d in range(10)])
    assert values[0, 47] == 0


def test_pictures_in_pictures() -> None:
    red = empty_image(4, 4, 1, 0xFF0000)
    placed = image_composite_masked(destination=IMAGE, source=red, x=16, y=2).pixels
    assert placed[:, 2:6, 16:, 0].eq(1).all()
    assert torch.equal(placed[:, :, :16], IMAGE.pixels[:, :, :16])
    half = image_composite_masked(
        destination=empty_image(4, 4), source=red, mask=Mask(torch.full((1, 4, 4), 0.5))
    )
    assert half.pixels[0, 0, 0].tolist() == [0.5, 0, 0]


@pytest.mark.parametrize(
    ("mode", "wanted"),
    [("normal", 0.8), ("multiply", 0.2), ("screen", 0.85), ("overlay", 0.4), ("difference", 0.0)],
)
def test_blending(mode: str, wanted: float) -> None:
    base, top = Image(torch.full((1, 4, 4, 3), 0.25)), Image(torch.full((1, 8, 8, 3), 0.8))
    blended = image_blend(base, top, 1.0, blend_mode=mode).pixels
    assert blended.sub(wanted).abs().max() < 1e-5
    assert torch.equal(image_blend(base, top, 0.0, blend_mode=mode).pixels, base.pixels)


def test_blurring_and_sharpening_keep_even_pictures() -> None:
    even = Image(torch.full((1, 9, 9, 3), 0.3))
    torch.testing.assert_close(image_blur(even, 31, 10.0).pixels, even.pixels)
    torch.testing.assert_close(image_sharpen(even, 3, 1.0, 5.0).pixels, even.pixels)
    assert image_blur(IMAGE, 2, 2.0).pixels.std() < IMAGE.pixels.std()
    assert image_sharpen(IMAGE, 1, 1.0, 1.0).pixels.std() > IMAGE.pixels.std()


def test_inpainting_greys_out_what_changes() -> None:
    image = Image(torch.ones(1, 21, 35, 3))
    mask = torch.zeros(1, 42, 70)
    mask[:, 20:] = 1
    prepared = greyed_out(image, Mask(mask), multiple=8)
    assert prepared.pixels.shape == (1, 16, 32, 3)
    assert prepared.mask.shape == (1, 16, 32)
    assert prepared.pixels[0, 0, 0, 0] == 1
    assert prepared.pixels[0, 15, 0, 0] == 0.5
    assert prepared.whole.eq(1).all()
