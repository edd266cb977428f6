"""Nodes that add noise to pictures, reduce their colours, and reshape or part their values."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal, NamedTuple

from graphcore import InputError, Range, node
from nodes.choices import SeedInt, Share
from nodes.values import Image

CATEGORY = "image/postprocessing"


class Planes(NamedTuple):
    """Brightness and the two differences of colour, each as a grey picture."""

    Y: Image
    U: Image
    V: Image


@node("ImageAddNoise", category="image", title="Add Noise to Image")
def image_add_noise(image: Image, seed: SeedInt = 0, strength: Share = 0.5) -> Image:
    """Add Gaussian noise of this standard deviation; the same seed gives the same noise."""
    from nodes.diffusion.picture_effects import noised

    return noised(image, seed, strength)


@node("ImageQuantize", category=CATEGORY, title="Quantize Image")
def image_quantize(
    image: Image,
    colors: Annotated[int, Range(1, 256, step=1)] = 256,
    *,
    dither: Literal["none", "floyd-steinberg", "bayer-2", "bayer-4", "bayer-8", "bayer-16"],
) -> Image:
    """Paint pictures with few colours, each with a palette of its own (median cut), dithered if asked."""
    from nodes.diffusion.palettes import quantized

    return quantized(image, colors, dither)


@node("Morphology", category=CATEGORY, title="Image Morphology")
def morphology(
    image: Image,
    operation: Literal["erode", "dilate", "open", "close", "gradient", "bottom_hat", "top_hat"],
    kernel_size: Annotated[int, Range(3, 999, step=1)] = 3,
) -> Image:
    """Grey-scale morphology with a square of so many pixels, each channel by itself."""
    from nodes.diffusion.picture_effects import reshaped

    return reshaped(image, operation, kernel_size)


@node("ImageRGBToYUV", category="image/batch", title="RGB to YUV")
def image_rgb_to_yuv(image: Image) -> Planes:
    """Part pictures into brightness and colour (ITU-R BT.601, full range, both differences around 0.5)."""
    from nodes.diffusion.picture_effects import to_yuv

    return Planes(*(replace(image, pixels=plane) for plane in to_yuv(image.pixels)))


@node("ImageYUVToRGB", category="image/batch", title="YUV to RGB")
def image_yuv_to_rgb(Y: Image, U: Image, V: Image) -> Image:  # noqa: N803 (ComfyUI's names)
    """Put brightness and colour together again; of each picture only the first channel counts."""
    from nodes.diffusion.picture_effects import from_yuv

    shapes = [list(plane.pixels.shape[:3]) for plane in (Y, U, V)]
    if shapes[0] != shapes[1] or shapes[0] != shapes[2]:
        raise InputError(
            f"Y, U and V differ in number or size ({shapes[0]}, {shapes[1]}, {shapes[2]}); give three that belong "
            "together.",
            code="mismatched-pictures",
        )
    return replace(Y, pixels=from_yuv(Y.pixels, U.pixels, V.pixels))
