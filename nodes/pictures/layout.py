"""Nodes that put pictures beside each other and into frames."""

from __future__ import annotations

from typing import Annotated, Literal

from graphcore import Range, node
from nodes.choices import MAX_SIDE
from nodes.values import Image

Side = Annotated[int, Range(1, MAX_SIDE, step=1)]


@node("ImageStitch", category="image/transform", title="Image Stitch")
def image_stitch(
    *,
    image1: Image,
    direction: Literal["right", "down", "left", "up"] = "right",
    match_image_size: bool = True,
    spacing_width: Annotated[int, Range(0, 1024, step=2)] = 0,
    spacing_color: Literal["white", "black", "red", "green", "blue"] = "white",
    image2: Image | None = None,
) -> Image:
    """Put the second picture beside the first, in this direction, with a bar between them.

    The second is resized to the first one's side there, or both are padded to the longer one's with black.
    """
    if image2 is None:
        return image1
    from nodes.diffusion.picture_layout import stitched

    return stitched(
        image1,
        image2,
        direction,
        resize_second=match_image_size,
        spacing=spacing_width,
        color=spacing_color,
    )


@node("ResizeAndPadImage", category="image/transform", title="Resize and Pad Image")
def resize_and_pad_image(
    *,
    image: Image,
    target_width: Side = 512,
    target_height: Side = 512,
    padding_color: Literal["white", "black"],
    interpolation: Literal["area", "bicubic", "nearest-exact", "bilinear", "lanczos"],
) -> Image:
    """Fit pictures into a frame without distorting them; what is left is filled with a colour."""
    from nodes.diffusion.picture_layout import framed

    return framed(image, target_width, target_height, padding_color, interpolation)
