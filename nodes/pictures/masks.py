"""Nodes that make and change masks."""

from __future__ import annotations

from typing import Annotated, Literal

from graphcore import InputError, Range, node
from nodes.choices import MAX_SIDE, Offset
from nodes.values import Image, Mask

Side = Annotated[int, Range(1, MAX_SIDE, step=1)]
Operation = Literal["multiply", "add", "subtract", "and", "or", "xor"]


@node("SolidMask", category="mask", title="Solid Mask")
def solid_mask(
    value: Annotated[float, Range(0.0, 1.0, step=0.01)] = 1.0,
    width: Annotated[int, Range(1, MAX_SIDE, step=1, role="width")] = 512,
    height: Annotated[int, Range(1, MAX_SIDE, step=1, role="height")] = 512,
) -> Mask:
    """A mask with the same value everywhere."""
    from nodes.diffusion.masks import solid

    return Mask(solid(value, width, height))


@node("InvertMask", category="mask", title="Invert Mask")
def invert_mask(mask: Mask) -> Mask:
    """1 where the mask is 0, and the other way round."""
    return Mask(1 - mask.values)


@node("CropMask", category="mask", title="Crop Mask")
def crop_mask(mask: Mask, x: Offset = 0, y: Offset = 0, width: Side = 512, height: Side = 512) -> Mask:
    """Cut a rectangle out of a mask."""
    values = mask.values[:, y : y + height, x : x + width]
    if not values.numel():
        raise InputError(
            f"The rectangle at {x}, {y} lies outside the mask of {mask.values.shape[2]}x{mask.values.shape[1]}; "
            "move it inside.",
            code="bad-size",
        )
    return Mask(values.contiguous())


@node("GrowMask", category="mask", title="Grow Mask")
def grow_mask(
    mask: Mask, expand: Annotated[int, Range(-MAX_SIDE, MAX_SIDE, step=1)] = 0, tapered_corners: bool = True
) -> Mask:
    """Widen a mask by so many pixels, or narrow it if the number is negative."""
    from nodes.diffusion.masks import dilated

    return Mask(dilated(mask.values, expand, tapered=tapered_corners))


@node("FeatherMask", category="mask", title="Feather Mask")
def feather_mask(
    mask: Mask, left: Offset = 0, top: Offset = 0, right: Offset = 0, bottom: Offset = 0
) -> Mask:
    """Let a mask fade towards its sides, over so many pixels."""
    from nodes.diffusion.masks import faded

    return Mask(faded(mask.values, left, top, right, bottom))


@node("ThresholdMask", category="mask", title="Threshold Mask")
def threshold_mask(mask: Mask, value: Annotated[float, Range(0.0, 1.0, step=0.01)] = 0.5) -> Mask:
    """1 where the mask is above a value, 0 elsewhere."""
    return Mask((mask.values > value).float())


@node("MaskComposite", category="mask", title="Combine Masks")
def mask_composite(
    *, destination: Mask, source: Mask, x: Offset = 0, y: Offset = 0, operation: Operation
) -> Mask:
    """Combine two masks, the source laid over the destination at x, y."""
    from nodes.diffusion.masks import combined

    return Mask(combined(destination.values, source.values, x, y, operation))


@node("MaskToImage", category="mask", title="Mask to Image")
def mask_to_image(mask: Mask) -> Image:
    """A mask as a grey picture: 1 is white."""
    return Image(mask.values[..., None].expand(-1, -1, -1, 3).contiguous())


@node("ImageToMask", category="mask", title="Image to Mask")
def image_to_mask(image: Image, channel: Literal["red", "green", "blue", "alpha"]) -> Mask:
    """One channel of a picture as a mask: where it is full, the mask is 1."""
    place = ("red", "green", "blue", "alpha").index(channel)
    if place >= image.pixels.shape[-1]:
        raise InputError(
            "This picture has no alpha channel; link the mask of LoadImage instead.", code="no-alpha"
        )
    return Mask(image.pixels[..., place].contiguous())


@node("ImageColorToMask", category="mask", title="Color to Mask")
def image_color_to_mask(image: Image, color: Annotated[int, Range(0, 0xFFFFFF, step=1)] = 0) -> Mask:
    """1 where a picture has exactly this colour (0xRRGGBB), 0 elsewhere."""
    from nodes.diffusion.masks import where_color

    return Mask(where_color(image.pixels, color))
