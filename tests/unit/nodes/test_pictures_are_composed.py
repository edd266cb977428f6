"""Pictures with transparency, laid over each other, put side by side, painted with few colours."""

from __future__ import annotations

import io
from typing import Any

import pytest
import torch
from PIL import Image as Pillow

from graphcore import InputError
from nodes.diffusion.palettes import bayer_matrix
from nodes.diffusion.pictures import png_bytes, require_picture
from nodes.logic.flow import join_masks
from nodes.pictures.batches import rebatch_images, rebatch_latents
from nodes.pictures.compositing import (
    join_image_with_alpha,
    porter_duff_image_composite,
    split_image_with_alpha,
)
from nodes.pictures.effects import (
    image_add_noise,
    image_quantize,
    image_rgb_to_yuv,
    image_yuv_to_rgb,
    morphology,
)
from nodes.pictures.layout import image_stitch, resize_and_pad_image
from nodes.values import Image, Latent, Mask, SafetyVerdict
from tests.random_tensors import seeded_pixels

FLAGGED = SafetyVerdict(flagged=True, scores=(), action="blur")


def plain(*color: float, count: int = 1, height: int = 4, width: int = 6) -> Image:
    return Image(torch.tensor(color).expand(count, height, width, len(color)).clone())


def mask(value: float, height: int = 4, width: int = 6) -> Mask:
    return Mask(torch.full((1, height, width), value))


def test_alpha_is_joined_and_split() -> None:
    joined = join_image_with_alpha(plain(1.0, 0.5, 0.0, count=2), mask(0.25, 8, 12))
    assert joined.pixels.shape == (2, 4, 6, 4)
    assert joined.pixels[0, 0, 0].tolist() == [1.0, 0.5, 0.0, 0.75]
    colors, alpha = split_image_with_alpha(joined)
    assert colors.pixels.shape == (2, 4, 6, 3)
    assert alpha.values.unique().tolist() == [0.25]
    assert split_image_with_alpha(colors).mask.values.unique().tolist() == [0.0]


def test_alpha_is_kept_in_files() -> None:
    joined = join_image_with_alpha(plain(1.0, 0.0, 0.0), mask(1.0))
    require_picture(joined, alpha=True)
    with pytest.raises(InputError):
        require_picture(joined)
    written = Pillow.open(io.BytesIO(png_bytes(joined.pixels[0], {})))
    assert written.mode == "RGBA"
    assert written.getpixel((0, 0)) == (255, 0, 0, 0)


@pytest.mark.parametrize(
    ("mode", "color", "alpha"),
    [
        ("SRC", (1.0, 0.0, 0.0), 0.5),
        ("DST", (0.0, 0.0, 1.0), 1.0),
        ("CLEAR", (0.0, 0.0, 0.0), 0.0),
        ("SRC_OVER", (0.5, 0.0, 0.5), 1.0),
        ("SRC_IN", (1.0, 0.0, 0.0), 0.5),
        ("SRC_OUT", (0.0, 0.0, 0.0), 0.0),
        ("DST_OUT", (0.0, 0.0, 1.0), 0.5),
        ("XOR", (0.0, 0.0, 1.0), 0.5),
        ("ADD", (0.5, 0.0, 1.0), 1.0),
        ("MULTIPLY", (0.0, 0.0, 0.5), 1.0),
        ("SCREEN", (0.5, 0.0, 1.0), 1.0),
        ("DARKEN", (0.0, 0.0, 0.5), 1.0),
        ("LIGHTEN", (0.5, 0.0, 1.0), 1.0),
    ],
)
def test_porter_duff(mode: Any, color: tuple[float, ...], alpha: float) -> None:
    composite = porter_duff_image_composite(
        source=plain(1.0, 0.0, 0.0),
        source_alpha=mask(0.5),
        destination=plain(0.0, 0.0, 1.0, count=3),
        destination_alpha=mask(1.0, 2, 3),
        mode=mode,
    )
    assert composite.image.pixels.shape == (1, 4, 6, 3)
    assert composite.image.pixels[0, 0, 0].tolist() == pytest.approx(color, abs=1e-6)
    assert float(composite.mask.values[0, 0, 0]) == pytest.approx(alpha)


def test_verdicts_go_along() -> None:
    hidden = Image(plain(1.0, 0.0, 0.0).pixels, (FLAGGED,))
    arguments = {
        "source_alpha": mask(0.5),
        "destination": plain(0.0, 0.0, 1.0),
        "destination_alpha": mask(1.0),
    }
    assert porter_duff_image_composite(source=hidden, **arguments).image.verdicts[0].flagged  # type: ignore[arg-type]
    assert image_stitch(image1=plain(0.0, 0.0, 0.0), image2=hidden).verdicts[0].flagged


@pytest.mark.parametrize(
    ("direction", "corner", "shape"),
    [
        ("right", (0.0, 1.0), (2, 4, 14, 3)),
        ("left", (1.0, 0.0), (2, 4, 14, 3)),
        ("down", (0.0, 1.0), (2, 10, 6, 3)),
        ("up", (1.0, 0.0), (2, 10, 6, 3)),
    ],
)
def test_stitch(direction: Any, corner: tuple[float, float], shape: tuple[int, ...]) -> None:
    first, second = plain(0.0, 0.0, 0.0, count=2), plain(1.0, 1.0, 1.0)
    done = image_stitch(
        image1=first, image2=second, direction=direction, spacing_width=2, spacing_color="red"
    ).pixels
    assert tuple(done.shape) == shape
    assert (float(done[1, 0, 0, 1]), float(done[1, -1, -1, 1])) == corner
    middle = done[0, 0, 7] if direction in ("left", "right") else done[0, 5, 0]
    assert middle.tolist() == [1.0, 0.0, 0.0]


def test_stitch_fits_or_pads() -> None:
    small = plain(1.0, 1.0, 1.0, height=2, width=2)
    assert image_stitch(image1=plain(0.0, 0.0, 0.0), image2=small).pixels.shape == (1, 4, 10, 3)
    padded = image_stitch(image1=plain(0.5, 0.5, 0.5), image2=small, match_image_size=False).pixels
    assert padded.shape == (1, 4, 8, 3)
    assert padded[0, :, 7, 0].tolist() == [0.0, 1.0, 1.0, 0.0]
    assert image_stitch(image1=small).pixels is small.pixels


def test_pictures_are_fitted_into_a_frame() -> None:
    done = resize_and_pad_image(
        image=plain(0.0, 0.0, 0.0),
        target_width=6,
        target_height=8,
        padding_color="white",
        interpolation="area",
    ).pixels
    assert done.shape == (1, 8, 6, 3)
    assert done[0, :, 0, 0].tolist() == [1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0]


@pytest.mark.parametrize("dither", ["none", "floyd-steinberg", "bayer-2", "bayer-16"])
def test_few_colors(dither: Any) -> None:
    done = image_quantize(Image(seeded_pixels(2, 20, 24, 3, seed=1)), 4, dither=dither).pixels
    assert done.shape == (2, 20, 24, 3)
    for picture in done:
        assert len(picture.reshape(-1, 3).unique(dim=0)) <= 4


def test_the_order_of_dithering_is_even() -> None:
    matrix = bayer_matrix(4)
    assert sorted(((matrix + 0.5) * 16 - 0.5).round().flatten().tolist()) == list(range(16))
    assert abs(float(matrix.mean())) < 1e-6


def test_morphology() -> None:
    pixels = torch.zeros(1, 7, 7, 3)
    pixels[0, 3, 3] = 1
    dot = Image(pixels)
    assert float(morphology(dot, "dilate", 3).pixels[..., 0].sum()) == 9
    assert float(morphology(dot, "erode", 3).pixels.sum()) == 0
    assert float(morphology(dot, "open", 3).pixels.sum()) == 0
    assert torch.equal(morphology(dot, "close", 3).pixels, pixels)
    assert torch.equal(morphology(dot, "top_hat", 3).pixels, pixels)
    assert float(morphology(dot, "gradient", 3).pixels[..., 0].sum()) == 9
    assert morphology(dot, "dilate", 999).pixels.min() == 1


def test_yuv_there_and_back() -> None:
    image = Image(seeded_pixels(1, 4, 4, 3, seed=2) * 0.8 + 0.1)
    y, u, v = image_rgb_to_yuv(image)
    assert y.pixels.shape == u.pixels.shape == v.pixels.shape == (1, 4, 4, 3)
    assert (image_yuv_to_rgb(y, u, v).pixels - image.pixels).abs().max() < 2e-3


def test_planes_that_do_not_belong_together_are_refused() -> None:
    y, u, _ = image_rgb_to_yuv(plain(0.5, 0.5, 0.5, height=4, width=4))
    _, _, v = image_rgb_to_yuv(plain(0.5, 0.5, 0.5, height=4, width=6))
    with pytest.raises(
        InputError, match=r"differ in number or size \(\[1, 4, 4\], \[1, 4, 4\], \[1, 4, 6\]\)"
    ):
        image_yuv_to_rgb(y, u, v)


def test_noise_is_the_seeds() -> None:
    grey = plain(0.5, 0.5, 0.5, height=64, width=64)
    done = image_add_noise(grey, 7, 0.1).pixels
    assert torch.equal(done, image_add_noise(grey, 7, 0.1).pixels)
    assert not torch.equal(done, image_add_noise(grey, 8, 0.1).pixels)
    assert float(done.std()) == pytest.approx(0.1, rel=0.05)


def test_batches_are_cut_anew() -> None:
    images = [plain(0.0, 0.0, 0.0, count=3), plain(1.0, 1.0, 1.0, count=2), plain(0.0, 0.0, 0.0, height=9)]
    assert [image.pixels.shape[0] for image in rebatch_images(images, 2)] == [2, 2, 1, 1]
    latents = [Latent(torch.zeros(3, 4, 2, 2)), Latent(torch.zeros(2, 4, 2, 2))]
    assert [latent.samples.shape[0] for latent in rebatch_latents(latents, 4)] == [4, 1]


def test_masks_are_joined() -> None:
    assert join_masks([mask(0.0), mask(1.0, 8, 12)]).values.mean(dim=(1, 2)).tolist() == [0.0, 1.0]
    with pytest.raises(InputError):
        join_masks([])
