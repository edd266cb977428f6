"""Where inputs meet their limits (other channels, radii, batches, masks), nodes do as ComfyUI's of the same name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as Pillow
from torch import Tensor

from nodes.conditioning.combining import (
    conditioning_set_area,
    conditioning_set_area_percentage,
    conditioning_set_mask,
)
from nodes.diffusion.latent_operations import sharpened
from nodes.diffusion.noise import starting_noise
from nodes.diffusion.pictures import read_picture
from nodes.diffusion.region import entry_region, entry_weight
from nodes.latents.making import latent_batch, latent_from_batch, repeat_latent_batch
from nodes.pictures.batches import rebatch_latents
from nodes.pictures.images import image_batch, image_blend, image_blur, image_composite_masked, image_sharpen
from nodes.pictures.masks import feather_mask, grow_mask, mask_composite
from nodes.sampling.schedules import split_sigmas, split_sigmas_denoise
from nodes.values import Conditioning, ConditioningEntry, Image, Latent, Mask, Sigmas
from tests.random_tensors import seeded_pixels

IMAGE = Image(seeded_pixels(2, 24, 20, 3))
CLEAR = Image(seeded_pixels(1, 24, 20, 4))


def gaussian(radius: int, sigma: float) -> Tensor:
    """A kernel over coordinates from -1 to 1, whatever its size."""
    places = torch.linspace(-1, 1, 2 * radius + 1)
    distance = places[:, None] ** 2 + places[None] ** 2
    kernel = torch.exp(-distance / (2 * sigma**2))
    return kernel / kernel.sum()


def convolved(planes: Tensor, kernel: Tensor) -> Tensor:
    radius = len(kernel) // 2
    wide = torch.nn.functional.pad(planes, (radius,) * 4, mode="reflect")
    channels = planes.shape[1]
    return torch.nn.functional.conv2d(wide, kernel.expand(channels, 1, -1, -1), groups=channels)


@pytest.mark.parametrize(("radius", "sigma"), [(1, 1.0), (6, 1.0), (10, 0.3)])
def test_the_deviation_of_a_blur_counts_in_its_radius(radius: int, sigma: float) -> None:
    expected = convolved(IMAGE.pixels.movedim(-1, 1), gaussian(radius, sigma)).movedim(1, -1)
    torch.testing.assert_close(image_blur(IMAGE, radius, sigma).pixels, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("radius", "sigma", "alpha"), [(1, 1.0, 1.0), (5, 0.5, 0.2)])
def test_sharpening_is_ten_times_alpha(radius: int, sigma: float, alpha: float) -> None:
    kernel = gaussian(radius, sigma) * (-10 * alpha)
    kernel[radius, radius] += 1 - kernel.sum()
    expected = convolved(IMAGE.pixels.movedim(-1, 1), kernel).movedim(1, -1).clamp(0, 1)
    found = image_sharpen(IMAGE, radius, sigma, alpha).pixels
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_latents_are_sharpened_alike() -> None:
    latent = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(1))
    length = torch.linalg.vector_norm(latent, dim=1, keepdim=True) + 1e-6
    kernel = gaussian(4, 0.7) * (-10 * 0.1)
    kernel[4, 4] += 1 - kernel.sum()
    expected = length * convolved(latent / length, kernel)
    torch.testing.assert_close(sharpened(latent, 4, 0.7, 0.1), expected, rtol=1e-4, atol=1e-5)


def test_opaque_pictures_join_transparent_ones() -> None:
    joined = image_batch(IMAGE, CLEAR).pixels
    assert joined.shape == (3, 24, 20, 4)
    assert torch.equal(joined[:2, ..., :3], IMAGE.pixels)
    assert bool((joined[:2, ..., 3] == 1).all())
    assert torch.equal(joined[2], CLEAR.pixels[0])
    assert image_batch(CLEAR, IMAGE).pixels.shape == (3, 24, 20, 4)


def test_transparency_in_composites_and_blends() -> None:
    small = Image(CLEAR.pixels[:, :8, :8])
    over = image_composite_masked(destination=IMAGE, source=small, x=4, y=2).pixels
    assert torch.equal(over[0, 2:10, 4:12], small.pixels[0, ..., :3])
    under = image_composite_masked(destination=CLEAR, source=Image(IMAGE.pixels[:1, :8, :8])).pixels
    assert bool((under[0, :8, :8, 3] == 1).all())
    assert torch.equal(under[0, 8:], CLEAR.pixels[0, 8:])
    blended = image_blend(IMAGE, CLEAR, 0.5, blend_mode="normal").pixels
    torch.testing.assert_close(blended, (IMAGE.pixels + CLEAR.pixels[..., :3]) / 2)
    opaque = image_blend(CLEAR, Image(IMAGE.pixels[:1]), 1.0, blend_mode="normal").pixels
    assert bool((opaque[..., 3] == 1).all())


@pytest.mark.parametrize("beyond", ["right", "below", "far", "whole"])
def test_composites_beyond_the_edge(beyond: str) -> None:
    x, y = {"right": (15, 0), "below": (0, 20), "far": (100, 100), "whole": (0, 0)}[beyond]
    source = Image(seeded_pixels(1, 30, 30, 3))
    mask = Mask(torch.rand(1, 7, 9, generator=torch.Generator().manual_seed(3)))
    found = image_composite_masked(destination=IMAGE, source=source, x=x, y=y, mask=mask).pixels
    stretched = torch.nn.functional.interpolate(mask.values[:, None], (30, 30), mode="bilinear")[0, 0]
    expected = IMAGE.pixels.clone()
    for row in range(24):
        for column in range(20):
            if row >= y and column >= x:
                share = stretched[row - y, column - x]
                expected[:, row, column] = source.pixels[0, row - y, column - x] * share + IMAGE.pixels[
                    :, row, column
                ] * (1 - share)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_joined_latents_keep_the_noise_that_each_had() -> None:
    one, other = Latent(torch.zeros(2, 4, 8, 8)), Latent(torch.zeros(3, 4, 8, 8))
    joined = latent_batch(one, other)
    assert joined.batch_index == (0, 1, 0, 1, 2)
    noise = starting_noise((5, 4, 8, 8), 7, batch_index=joined.batch_index)
    assert torch.equal(noise[2:], starting_noise((3, 4, 8, 8), 7))
    cut = latent_from_batch(other, 2, 9)
    assert latent_batch(cut, one).batch_index == (2, 0, 1)
    assert repeat_latent_batch(latent_batch(one, one), 2).batch_index == (0, 1, 0, 1, 2, 3, 2, 3)


def test_rebatched_latents_are_numbered_through() -> None:
    made = [Latent(torch.zeros(3, 4, 2, 2)), Latent(torch.zeros(2, 4, 2, 2))]
    assert [latent.batch_index for latent in rebatch_latents(made, 4)] == [(0, 1, 2, 3), (4,)]
    cut = latent_from_batch(made[0], 2, 1)
    assert [latent.batch_index for latent in rebatch_latents([cut, made[1]], 2)] == [(2, 1), (2,)]


def entry(conditioning: Conditioning) -> ConditioningEntry:
    return conditioning.entries[0]


def test_an_area_after_mask_bounds_is_the_area() -> None:
    said = Conditioning((ConditioningEntry(embeddings=torch.zeros(1, 77, 8)),))
    mask = torch.zeros(1, 64, 64)
    mask[:, 32:] = 1
    bounded = conditioning_set_mask(said, Mask(mask), 1.0, set_cond_area="mask bounds")
    assert entry_region(entry(bounded), 8, 8) is not None
    for placed in (
        conditioning_set_area(bounded, 64, 64, 0, 0, 0.7),
        conditioning_set_area_percentage(bounded, 1.0, 1.0, 0.0, 0.0, 0.7),
    ):
        found = entry_region(entry(placed), 8, 8)
        assert found is not None
        assert (found.top, found.left, found.height, found.width) == (0, 0, 8, 8)
        weight = entry_weight(entry(placed), found, 8, 8)
        assert isinstance(weight, Tensor)
        assert float(weight.max()) == pytest.approx(0.7)
        assert float(weight[..., 0, 0]) == 0


def test_masks_at_their_edges() -> None:
    mask = Mask(torch.zeros(1, 6, 6))
    mask.values[:, 0, 0] = 1
    grown = grow_mask(mask, 1, tapered_corners=True).values[0]
    assert grown[0, :3].tolist() == [1, 1, 0]
    assert grown[1, :2].tolist() == [1, 0]
    whole = Mask(torch.ones(1, 6, 6))
    assert bool(grow_mask(whole, -2).values.all()), "erosion comes from inside alone"
    assert grow_mask(mask, -1).values.sum() == 0
    assert grow_mask(mask, 100).values.all()
    over = Mask(torch.ones(1, 3, 3))
    assert mask_composite(destination=mask, source=over, x=4, y=5, operation="add").values.sum() == 3
    assert torch.equal(
        mask_composite(destination=mask, source=over, x=6, y=0, operation="add").values, mask.values
    )
    faded = feather_mask(whole, 2, 0, 3, 0).values[0, 0]
    torch.testing.assert_close(faded, torch.tensor([1 / 2, 1, 1, 1, 2 / 3, 1 / 3]))


def test_schedules_are_cut_beyond_their_ends() -> None:
    values = torch.tensor([4.0, 3.0, 2.0, 0.0])
    first, second = split_sigmas(Sigmas(values), 100)
    assert torch.equal(first.values, values)
    assert len(second.values) == 0
    first, second = split_sigmas(Sigmas(values), 0)
    assert first.values.tolist() == [4.0]
    assert torch.equal(second.values, values)
    _, rest = split_sigmas_denoise(Sigmas(values), 0.4)
    assert rest.values.tolist() == [2.0, 0.0]


def test_of_several_views_of_a_camera_the_first_is_read(tmp_path: Path) -> None:
    views = [Pillow.fromarray(np.full((8, 8, 3), level, dtype=np.uint8)) for level in (40, 200)]
    path = tmp_path / "phone.jpg"
    views[0].save(path, format="MPO", save_all=True, append_images=views[1:])
    pixels: Any = read_picture(path).image.pixels
    assert pixels.shape == (1, 8, 8, 3)
    assert float(pixels.mean()) == pytest.approx(40 / 255, abs=0.02)
