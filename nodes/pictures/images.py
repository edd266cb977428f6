"""Nodes that make and change pictures."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Annotated, Literal, NamedTuple

from graphcore import Range, node
from nodes.choices import MAX_SIDE, BatchSize, Crop, Flip, ImageResize, Offset, Rotation, Share
from nodes.values import Image, Mask

TargetSide = Annotated[int, Range(0, MAX_SIDE, step=1)]
Side = Annotated[int, Range(1, MAX_SIDE, step=1)]
Radius = Annotated[int, Range(1, 31, step=1)]
BlendMode = Literal["normal", "multiply", "screen", "overlay", "soft_light", "difference"]


class PaddedImage(NamedTuple):
    """A picture with borders, and the mask of them."""

    image: Image
    mask: Mask


class ImageSize(NamedTuple):
    """The size of a batch of pictures."""

    width: int
    height: int
    batch_size: int


@node("EmptyImage", category="image", title="Empty Image")
def empty_image(
    width: Annotated[int, Range(1, MAX_SIDE, step=1, role="width")] = 512,
    height: Annotated[int, Range(1, MAX_SIDE, step=1, role="height")] = 512,
    batch_size: BatchSize = 1,
    color: Annotated[int, Range(0, 0xFFFFFF, step=1)] = 0,
) -> Image:
    """Pictures of one colour (0xRRGGBB)."""
    from nodes.diffusion.picture_batches import uniform

    return uniform(width, height, batch_size, color)


@node("ImageScale", category="image/upscaling", title="Upscale Image")
def image_scale(
    image: Image,
    upscale_method: ImageResize,
    width: TargetSide = 512,
    height: TargetSide = 512,
    *,
    crop: Crop,
) -> Image:
    """Resize pictures; a side of 0 follows from the other, both 0 change nothing."""
    from nodes.diffusion.picture_batches import resized

    rows, columns = image.pixels.shape[1:3]
    if width == 0 and height == 0:
        return image
    width = width or max(1, round(columns * height / rows))
    height = height or max(1, round(rows * width / columns))
    return resized(image, width, height, upscale_method, crop=crop == "center")


@node("ImageScaleBy", category="image/upscaling", title="Upscale Image By")
def image_scale_by(
    image: Image, upscale_method: ImageResize, scale_by: Annotated[float, Range(0.01, 8.0, step=0.01)] = 1.0
) -> Image:
    """Resize pictures by a factor."""
    from nodes.diffusion.picture_batches import resized

    rows, columns = image.pixels.shape[1:3]
    return resized(image, round(columns * scale_by), round(rows * scale_by), upscale_method)


@node("ImageScaleToTotalPixels", category="image/upscaling", title="Scale Image to Total Pixels")
def image_scale_to_total_pixels(
    image: Image,
    upscale_method: ImageResize,
    megapixels: Annotated[float, Range(0.01, 16.0, step=0.01)] = 1.0,
    resolution_steps: Annotated[int, Range(1, 256)] = 1,
) -> Image:
    """Resize pictures to a number of pixels (in units of 1024 x 1024), sides in multiples of `resolution_steps`."""
    from nodes.diffusion.picture_batches import resized

    rows, columns = image.pixels.shape[1:3]
    factor = math.sqrt(megapixels * 1024 * 1024 / (columns * rows))
    width, height = (
        max(1, round(side * factor / resolution_steps)) * resolution_steps for side in (columns, rows)
    )
    return resized(image, width, height, upscale_method)


@node("ImageScaleToMaxDimension", category="image/upscaling", title="Scale Image to Max Dimension")
def image_scale_to_max_dimension(
    image: Image,
    upscale_method: Literal["area", "lanczos", "bilinear", "nearest-exact", "bicubic"],
    largest_size: TargetSide = 512,
) -> Image:
    """Resize pictures so that their longer side has this size."""
    from nodes.diffusion.picture_batches import resized

    rows, columns = image.pixels.shape[1:3]
    factor = largest_size / max(rows, columns)
    return resized(image, max(1, round(columns * factor)), max(1, round(rows * factor)), upscale_method)


@node("ImageInvert", category="image", title="Invert Image")
def image_invert(image: Image) -> Image:
    """The negative of pictures: light becomes dark, and each colour its opposite."""
    return replace(image, pixels=1 - image.pixels)


@node("ImageCrop", category="image/transform", title="Crop Image")
def image_crop(image: Image, width: Side = 512, height: Side = 512, x: Offset = 0, y: Offset = 0) -> Image:
    """Cut a rectangle out of pictures; it ends at their edges."""
    rows, columns = image.pixels.shape[1:3]
    left, top = min(x, columns - 1), min(y, rows - 1)
    return replace(image, pixels=image.pixels[:, top : top + height, left : left + width].contiguous())


@node("ImageFlip", category="image/transform", title="Flip Image")
def image_flip(image: Image, flip_method: Flip) -> Image:
    """Mirror pictures, upside down or left to right."""
    return replace(image, pixels=image.pixels.flip(1 if flip_method.startswith("x") else 2))


@node("ImageRotate", category="image/transform", title="Rotate Image")
def image_rotate(image: Image, rotation: Rotation) -> Image:
    """Turn pictures clockwise."""
    quarters = 0 if rotation == "none" else int(rotation.split()[0]) // 90
    return replace(image, pixels=image.pixels.rot90(quarters, (2, 1)).contiguous())


@node("GetImageSize", category="image", title="Get Image Size")
def get_image_size(image: Image) -> ImageSize:
    """Width and height in pixels, and the number of pictures."""
    count, height, width = image.pixels.shape[:3]
    return ImageSize(width, height, count)


@node("ImageBatch", category="image/batch", title="Batch Images")
def image_batch(image1: Image, image2: Image) -> Image:
    """Join two batches of pictures; the second is resized to the first one's size, and cut where it is longer.

    If one of them is transparent in places, the other becomes opaque beside it.
    """
    from nodes.diffusion.picture_batches import joined

    return joined((image1, image2))


@node("ImageFromBatch", category="image/batch", title="Image From Batch")
def image_from_batch(
    image: Image,
    batch_index: Annotated[int, Range(0, 4095)] = 0,
    length: Annotated[int, Range(1, 4096)] = 1,
) -> Image:
    """Take `length` pictures out of a batch from number `batch_index` on."""
    count = image.pixels.shape[0]
    first = min(batch_index, count - 1)
    last = min(first + length, count)
    return Image(image.pixels[first:last].clone(), image.verdicts[first:last])


@node("RepeatImageBatch", category="image/batch", title="Repeat Image Batch")
def repeat_image_batch(image: Image, amount: Annotated[int, Range(1, 4096)] = 1) -> Image:
    """Repeat pictures: the whole batch `amount` times, one after another."""
    from nodes.diffusion.resizing import require_room

    count, height, width = image.pixels.shape[:3]
    require_room(amount * count, width, height)
    return Image(image.pixels.repeat(amount, 1, 1, 1), image.verdicts * amount)


@node("ImageSheet", category="image/batch", title="Image Sheet")
def image_sheet(
    images: list[Image],
    columns: Annotated[int, Range(0, 256)] = 0,
    gap: Annotated[int, Range(0, 256)] = 4,
) -> Image:
    """Put all pictures of a list (or a batch) into one, row by row; 0 columns make it about square."""
    from nodes.diffusion.picture_batches import in_grid, joined

    return in_grid(joined(images), columns, gap)


@node("ImagePadForOutpaint", category="image", title="Pad Image for Outpainting")
def image_pad_for_outpaint(
    image: Image,
    left: Annotated[int, Range(0, MAX_SIDE, step=8)] = 0,
    top: Annotated[int, Range(0, MAX_SIDE, step=8)] = 0,
    right: Annotated[int, Range(0, MAX_SIDE, step=8)] = 0,
    bottom: Annotated[int, Range(0, MAX_SIDE, step=8)] = 0,
    feathering: Offset = 40,
) -> PaddedImage:
    """Add grey borders to pictures, and the mask of what is to be painted, soft at the old edges."""
    from nodes.diffusion.picture_batches import padded

    return PaddedImage(*padded(image, left, top, right, bottom, feathering))


@node("ImageCompositeMasked", category="image", title="Image Composite (Masked)")
def image_composite_masked(
    *,
    destination: Image,
    source: Image,
    x: Offset = 0,
    y: Offset = 0,
    resize_source: bool = False,
    mask: Mask | None = None,
) -> Image:
    """Put one picture into another at x, y where the mask is 1; without a mask, all of it.

    The source's transparency counts only where the destination has one.
    """
    from nodes.diffusion.picture_batches import composited

    return composited(destination, source, x, y, mask, stretch=resize_source)


@node("ImageBlend", category="image/postprocessing", title="Blend Images")
def image_blend(image1: Image, image2: Image, blend_factor: Share = 0.5, *, blend_mode: BlendMode) -> Image:
    """Blend two pictures; the second is fitted to the first."""
    from nodes.diffusion.picture_effects import blended

    return blended(image1, image2, blend_factor, blend_mode)


@node("ImageBlur", category="image/postprocessing", title="Blur Image")
def image_blur(
    image: Image, blur_radius: Radius = 1, sigma: Annotated[float, Range(0.1, 10.0, step=0.1)] = 1.0
) -> Image:
    """Blur pictures with a Gaussian that is cut off at `blur_radius` pixels; `sigma` counts in that radius."""
    from nodes.diffusion.picture_effects import blurred

    return blurred(image, blur_radius, sigma)


@node("ImageSharpen", category="image/postprocessing", title="Sharpen Image")
def image_sharpen(
    image: Image,
    sharpen_radius: Radius = 1,
    sigma: Annotated[float, Range(0.1, 10.0, step=0.01)] = 1.0,
    alpha: Annotated[float, Range(0.0, 5.0, step=0.01)] = 1.0,
) -> Image:
    """Sharpen pictures: add ten times `alpha` what a Gaussian blur (see Blur Image) takes away."""
    from nodes.diffusion.picture_effects import sharpened

    return sharpened(image, sharpen_radius, sigma, alpha)
