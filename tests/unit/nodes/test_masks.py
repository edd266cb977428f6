"""Nodes on masks."""

from __future__ import annotations

import pytest
import scipy.ndimage
import torch

from graphcore import InputError
from nodes.diffusion.inpainting import grown
from nodes.pictures.masks import (
    crop_mask,
    feather_mask,
    grow_mask,
    image_color_to_mask,
    image_to_mask,
    invert_mask,
    mask_composite,
    mask_to_image,
    solid_mask,
    threshold_mask,
)
from nodes.values import Image, Mask
from tests.random_tensors import seeded_pixels

MASK = Mask(seeded_pixels(2, 12, 9))
CROSS = [[0, 1, 0], [1, 1, 1], [0, 1, 0]]
SQUARE = [[1, 1, 1]] * 3


def test_solid_and_inverted() -> None:
    assert solid_mask(0.25, 5, 3).values.shape == (1, 3, 5)
    assert invert_mask(solid_mask(0.25, 5, 3)).values.eq(0.75).all()


@pytest.mark.parametrize("tapered", [True, False])
@pytest.mark.parametrize("by", [3, 1, 0, -1, -2])
def test_growing_is_grey_morphology(by: int, tapered: bool) -> None:
    wanted = MASK.values.numpy()
    change = scipy.ndimage.grey_dilation if by > 0 else scipy.ndimage.grey_erosion
    for _ in range(abs(by)):
        wanted = change(wanted, footprint=[CROSS if tapered else SQUARE], mode="reflect")
    assert torch.equal(grow_mask(MASK, by, tapered).values, torch.from_numpy(wanted.copy()))


def test_growing_without_end_fills_the_mask() -> None:
    dot = torch.zeros(1, 40, 40)
    dot[0, 3, 3] = 1
    assert grow_mask(Mask(dot), 16384, True).values[0, 39, 0] == 1


def test_widening_for_inpainting() -> None:
    dot = torch.zeros(1, 32, 32)
    dot[0, 16, 16] = 0.7
    assert grown(dot, 0).sum() == 1
    assert grown(dot, 6).sum() == 36
    assert grown(dot, 6).shape == (1, 32, 32)


def test_feathering_falls_to_each_side() -> None:
    faded = feather_mask(solid_mask(1.0, 8, 8), 4, 0, 2, 0).values[0]
    assert faded[0].tolist() == [0.25, 0.5, 0.75, 1, 1, 1, 1, 0.5]
    assert feather_mask(solid_mask(1.0, 4, 4), 99, 99, 99, 99).values.shape == (1, 4, 4)


@pytest.mark.parametrize(
    ("operation", "wanted"),
    [("multiply", 0.24), ("add", 1.0), ("subtract", 0.2), ("and", 0.0), ("or", 1.0), ("xor", 1.0)],
)
def test_combining(operation: str, wanted: float) -> None:
    destination = solid_mask(0.6, 6, 6)
    source = solid_mask(0.4, 3, 3)
    combined = mask_composite(destination=destination, source=source, x=2, y=1, operation=operation).values
    assert combined[0, 1:4, 2:5].sub(wanted).abs().max() < 1e-6
    assert combined[0, 0].eq(destination.values[0, 0]).all()
    assert torch.equal(
        mask_composite(destination=destination, source=destination, x=50, y=50, operation=operation).values,
        destination.values,
    )


def test_cutting() -> None:
    assert torch.equal(crop_mask(MASK, 2, 3, 4, 5).values, MASK.values[:, 3:8, 2:6])
    with pytest.raises(InputError, match="outside the mask"):
        crop_mask(MASK, 100, 0, 4, 5)


def test_thresholds() -> None:
    assert torch.equal(threshold_mask(MASK, 0.5).values, (MASK.values > 0.5).float())


def test_masks_and_pictures() -> None:
    picture = mask_to_image(MASK)
    assert picture.pixels.shape == (2, 12, 9, 3)
    assert torch.equal(image_to_mask(picture, "green").values, MASK.values)
    with pytest.raises(InputError, match="no alpha channel"):
        image_to_mask(picture, "alpha")


def test_colours() -> None:
    pixels = torch.zeros(1, 1, 2, 3)
    pixels[0, 0, 1] = torch.tensor([0x12, 0x34, 0x56]) / 255
    assert image_color_to_mask(Image(pixels), 0x123456).values.tolist() == [[[0.0, 1.0]]]
