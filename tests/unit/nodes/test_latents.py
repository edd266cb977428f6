"""Nodes on latents: sizes, batches, noise of their own, masks that go along."""

from __future__ import annotations

import pytest
import torch

from graphcore import InputError
from nodes.latents.making import (
    empty_latent_image,
    latent_add,
    latent_batch,
    latent_batch_seed_behavior,
    latent_blend,
    latent_composite,
    latent_composite_masked,
    latent_crop,
    latent_flip,
    latent_from_batch,
    latent_interpolate,
    latent_multiply,
    latent_rotate,
    latent_subtract,
    latent_upscale,
    latent_upscale_by,
    repeat_latent_batch,
    set_latent_noise_mask,
)
from nodes.values import Latent, Mask
from tests.random_tensors import seeded

LATENT = Latent(seeded(2, 4, 16, 12))


def test_an_empty_latent_has_whole_cells() -> None:
    assert empty_latent_image(70, 33, 3).samples.shape == (3, 4, 4, 8)
    assert not empty_latent_image(64, 64).samples.any()


@pytest.mark.parametrize(
    ("width", "height", "shape"),
    [(0, 0, (16, 12)), (128, 0, (21, 16)), (0, 256, (32, 24)), (128, 64, (8, 16)), (8, 8, (8, 8))],
)
def test_upscale_sizes(width: int, height: int, shape: tuple[int, int]) -> None:
    assert latent_upscale(LATENT, "nearest-exact", width, height, crop="disabled").samples.shape[2:] == shape


def test_upscale_cuts_the_longer_side() -> None:
    wide = Latent(torch.arange(16.0).expand(1, 4, 8, 16).clone())
    cut = latent_upscale(wide, "nearest-exact", 64, 64, crop="center").samples
    assert cut[0, 0, 0].tolist() == list(range(4, 12))


@pytest.mark.parametrize("method", ["nearest-exact", "bilinear", "area", "bicubic", "bislerp"])
def test_upscale_keeps_what_is_even(method: str) -> None:
    even = Latent(torch.tensor([1.0, -2.0, 0.5, 3.0]).view(1, 4, 1, 1).expand(1, 4, 8, 8).clone())
    larger = latent_upscale_by(even, method, 1.75).samples
    assert larger.shape == (1, 4, 14, 14)
    torch.testing.assert_close(larger, even.samples[:, :, :1, :1].expand_as(larger), atol=1e-5, rtol=0)


def test_bislerp_keeps_lengths() -> None:
    """Vectors of one length stay of that length between each other, which mixing does not do."""
    directions = torch.nn.functional.normalize(seeded(1, 4, 8, 8), dim=1) * 3
    larger = latent_upscale_by(Latent(directions), "bislerp", 2.0).samples
    lengths = torch.linalg.vector_norm(larger, dim=1)
    torch.testing.assert_close(lengths, torch.full_like(lengths, 3.0), atol=1e-3, rtol=0)
    mixed = latent_upscale_by(Latent(directions), "bilinear", 2.0).samples
    assert torch.linalg.vector_norm(mixed, dim=1).mean() < 2.8


def test_repeated_latents_get_noise_of_their_own() -> None:
    plain = repeat_latent_batch(LATENT, 3)
    assert plain.samples.shape[0] == 6
    assert plain.batch_index is None
    numbered = repeat_latent_batch(latent_from_batch(LATENT, 1, 1), 3)
    assert numbered.batch_index == (1, 2, 3)


def test_a_part_of_a_batch_keeps_its_numbers() -> None:
    masked = Latent(LATENT.samples, noise_mask=seeded(2, 8, 8))
    part = latent_from_batch(masked, 1, 5)
    assert part.batch_index == (1,)
    assert torch.equal(part.samples[0], LATENT.samples[1])
    assert part.noise_mask is not None
    assert torch.equal(part.noise_mask[0], seeded(2, 8, 8)[1])
    assert latent_from_batch(LATENT, 63, 1).batch_index == (1,)


def test_joined_batches() -> None:
    joined = latent_batch(LATENT, Latent(seeded(1, 4, 8, 8), noise_mask=torch.zeros(1, 64, 64)))
    assert joined.samples.shape == (3, 4, 16, 12)
    assert torch.equal(joined.samples[:2], LATENT.samples)
    assert joined.noise_mask is not None
    assert joined.noise_mask[:2].all()
    assert not joined.noise_mask[2].any()


def test_latents_of_different_families_are_not_joined() -> None:
    with pytest.raises(InputError, match="different model"):
        latent_batch(LATENT, Latent(seeded(1, 16, 16, 12)))
    with pytest.raises(InputError, match="different model"):
        latent_add(LATENT, Latent(seeded(1, 16, 16, 12)))


def test_seed_behaviour() -> None:
    assert latent_batch_seed_behavior(LATENT, "fixed").batch_index == (0, 0)
    assert latent_batch_seed_behavior(latent_from_batch(LATENT, 1, 1), "fixed").batch_index == (1,)
    assert latent_batch_seed_behavior(latent_from_batch(LATENT, 1, 1), "random").batch_index is None


def test_arithmetic() -> None:
    other = Latent(seeded(1, 4, 16, 12, seed=1))
    assert torch.equal(latent_add(LATENT, other).samples, LATENT.samples + other.samples)
    assert torch.equal(latent_subtract(LATENT, other).samples, LATENT.samples - other.samples)
    assert torch.equal(latent_multiply(LATENT, -2.0).samples, LATENT.samples * -2)
    blend = latent_blend(LATENT, other, 0.25).samples
    torch.testing.assert_close(blend, LATENT.samples * 0.25 + other.samples * 0.75)
    torch.testing.assert_close(latent_interpolate(LATENT, other, 1.0).samples, LATENT.samples)
    torch.testing.assert_close(latent_interpolate(LATENT, LATENT, 0.3).samples, LATENT.samples)


def test_turning_and_mirroring() -> None:
    samples = LATENT.samples
    assert torch.equal(latent_flip(LATENT, "x-axis: vertically").samples[:, :, 0], samples[:, :, -1])
    assert torch.equal(latent_flip(LATENT, "y-axis: horizontally").samples[..., 0], samples[..., -1])
    turned = latent_rotate(LATENT, "90 degrees").samples
    assert torch.equal(turned[:, :, 0, -1], samples[:, :, 0, 0])
    assert torch.equal(latent_rotate(LATENT, "none").samples, samples)


def test_crop() -> None:
    assert torch.equal(latent_crop(LATENT, 64, 64, 16, 24).samples, LATENT.samples[:, :, 3:11, 2:10])
    assert latent_crop(LATENT, 512, 512, 9999, 9999).samples.shape[2:] == (8, 8)


def test_one_latent_in_another() -> None:
    top = Latent(torch.ones(1, 4, 4, 4))
    placed = latent_composite(LATENT, top, 16, 24).samples
    assert torch.equal(placed[:, :, 3:7, 2:6], torch.ones(2, 4, 4, 4))
    placed[:, :, 3:7, 2:6] = LATENT.samples[:, :, 3:7, 2:6]
    assert torch.equal(placed, LATENT.samples)


def test_soft_edges_fade_only_inside_the_picture() -> None:
    base, top = Latent(torch.zeros(1, 1, 8, 8)), Latent(torch.ones(1, 1, 8, 4))
    soft = latent_composite(base, top, 32, 0, 16).samples[0, 0]
    assert soft[:, 4].tolist() == [0.5] * 8
    assert soft[:, 5:].eq(1).all()


def test_a_mask_chooses() -> None:
    mask = Mask(torch.zeros(1, 32, 32))
    mask.values[:, :, 16:] = 1
    placed = latent_composite_masked(
        destination=LATENT, source=Latent(torch.ones(1, 4, 4, 4)), mask=mask
    ).samples
    assert torch.equal(placed[:, :, :4, 0], LATENT.samples[:, :, :4, 0])
    assert placed[:, :, :4, 3].eq(1).all()
    stretched = latent_composite_masked(
        destination=LATENT, source=Latent(torch.ones(1, 4, 4, 4)), resize_source=True
    )
    assert stretched.samples.eq(1).all()


def test_places_outside_change_nothing() -> None:
    placed = latent_composite(LATENT, Latent(torch.ones(1, 4, 4, 4)), 9000, 0)
    assert torch.equal(placed.samples, LATENT.samples)


def test_the_noise_mask_is_set() -> None:
    mask = Mask(torch.ones(1, 8, 8))
    assert set_latent_noise_mask(LATENT, mask).noise_mask is mask.values
    assert LATENT.noise_mask is None


def test_lines_and_squares_fit_each_other() -> None:
    line, square = Latent(seeded(1, 4, 1, 300)), Latent(seeded(1, 4, 8, 8))
    assert latent_add(square, line).samples.shape == (1, 4, 8, 8)
    assert latent_add(line, square).samples.shape == (1, 4, 1, 300)


def test_latents_of_two_families_cannot_be_put_together() -> None:
    with pytest.raises(InputError, match="16 channels"):
        latent_composite(Latent(seeded(1, 4, 8, 8)), Latent(seeded(1, 16, 8, 8)))
