"""Latents become small pictures by one matrix; for an unknown VAE the matrix can be found."""

from __future__ import annotations

import pytest
import torch

from nodes.diffusion.network import LatentRgb
from nodes.diffusion.preview import LatentPreview, fit_latent_rgb, latent_to_rgb
from tests.unit.sampling.toys import randn

RGB = LatentRgb(
    factors=((0.3, 0.1, 0.0), (0.0, 0.2, 0.1), (-0.1, 0.0, 0.4), (0.05, 0.1, -0.2)), bias=(0.1, 0.0, -0.1)
)


def test_colours_are_a_matrix_of_channels() -> None:
    latent = torch.zeros(1, 4, 2, 3)
    latent[:, 0] = 1.0
    assert latent_to_rgb(latent, RGB)[0, 0, 0].tolist() == pytest.approx([0.4, 0.1, -0.1])


def test_pixels_are_clipped_bytes() -> None:
    latent = torch.tensor([-1e4, 0.0, 1e4]).reshape(1, 1, 1, 3)
    pixels = LatentPreview(latent, LatentRgb(factors=((1.0, 1.0, 1.0),))).pixels()
    assert pixels[0, :, 0].tolist() == [0, 128, 255]


def test_the_matrix_of_a_vae_is_found_from_pictures() -> None:
    latents = randn(3, 4, 8, 8)
    pictures = latent_to_rgb(latents, RGB).movedim(-1, 1)
    pictures = pictures.repeat_interleave(8, dim=2).repeat_interleave(8, dim=3)
    found = fit_latent_rgb(latents, pictures)
    for row, expected in zip((*found.factors, found.bias), (*RGB.factors, RGB.bias), strict=True):
        assert row == pytest.approx(expected, abs=1e-9)


def test_without_a_matrix_channels_are_shown_in_grey() -> None:
    pixels = LatentPreview(randn(1, 16, 4, 4)).pixels()
    assert int(pixels.min()) == 0
    assert int(pixels.max()) == 255
    assert torch.equal(pixels[..., 0], pixels[..., 1])
    flat = LatentPreview(torch.full((1, 4, 2, 2), 3.0)).pixels()
    assert len(flat.unique()) == 1
