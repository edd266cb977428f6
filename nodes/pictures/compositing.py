"""Nodes for pictures with transparency: taken apart, put together, laid over each other."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, NamedTuple

from graphcore import node
from nodes.values import Image, Mask

CATEGORY = "mask/compositing"
Mode = Literal[
    "ADD",
    "CLEAR",
    "DARKEN",
    "DST",
    "DST_ATOP",
    "DST_IN",
    "DST_OUT",
    "DST_OVER",
    "LIGHTEN",
    "MULTIPLY",
    "OVERLAY",
    "SCREEN",
    "SRC",
    "SRC_ATOP",
    "SRC_IN",
    "SRC_OUT",
    "SRC_OVER",
    "XOR",
]


class ImageWithMask(NamedTuple):
    """Pictures without transparency, and a mask."""

    image: Image
    mask: Mask


@node("JoinImageWithAlpha", category=CATEGORY, title="Join Image with Alpha")
def join_image_with_alpha(image: Image, alpha: Mask) -> Image:
    """Pictures that are transparent where the mask is 1, with four channels; SaveImage keeps them as PNG."""
    from nodes.diffusion.compositing import with_alpha

    return replace(image, pixels=with_alpha(image.pixels, 1 - alpha.values))


@node("SplitImageWithAlpha", category=CATEGORY, title="Split Image with Alpha")
def split_image_with_alpha(image: Image) -> ImageWithMask:
    """The colours of pictures, and the mask of what is transparent in them."""
    from nodes.diffusion.compositing import split_alpha

    colors, opacity = split_alpha(image.pixels)
    return ImageWithMask(replace(image, pixels=colors), Mask(1 - opacity))


@node("PorterDuffImageComposite", category=CATEGORY, title="Porter-Duff Image Composite")
def porter_duff_image_composite(
    *,
    source: Image,
    source_alpha: Mask,
    destination: Image,
    destination_alpha: Mask,
    mode: Mode = "DST",
) -> ImageWithMask:
    """Lay pictures over each other by the operators of Porter and Duff; masks are 1 where a picture is seen.

    Everything is fitted to the destination; the batch is as long as the shorter one of the two pictures.
    """
    from nodes.diffusion.compositing import composited

    return ImageWithMask(*composited(source, source_alpha, destination, destination_alpha, mode))
