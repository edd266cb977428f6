"""Nodes that make and change latents."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

from graphcore import Range, node
from nodes.choices import MAX_SIDE, BatchSize, CellOffset, Crop, Flip, LatentResize, Rotation, Share
from nodes.values import Latent, Mask

EmptySide = Annotated[int, Range(16, MAX_SIDE, step=8)]
TargetSide = Annotated[int, Range(0, MAX_SIDE, step=8)]


@node("EmptyLatentImage", category="latent", title="Empty Latent Image")
def empty_latent_image(
    width: Annotated[int, Range(16, MAX_SIDE, step=8, role="width")] = 512,
    height: Annotated[int, Range(16, MAX_SIDE, step=8, role="height")] = 512,
    batch_size: BatchSize = 1,
) -> Latent:
    """An empty latent to sample from pure noise, for `batch_size` pictures of this size in pixels."""
    from nodes.diffusion.latents import empty_latent

    return empty_latent(width, height, batch_size)


@node("EmptySD3LatentImage", category="latent", title="Empty Latent Image (SD3)")
def empty_sd3_latent_image(
    width: Annotated[int, Range(16, MAX_SIDE, step=16, role="width")] = 1024,
    height: Annotated[int, Range(16, MAX_SIDE, step=16, role="height")] = 1024,
    batch_size: BatchSize = 1,
) -> Latent:
    """An empty latent of sixteen channels, as SD3 takes it."""
    from nodes.diffusion.latents import empty_latent

    return empty_latent(width, height, batch_size, channels=16)


@node("LatentUpscale", category="latent", title="Upscale Latent")
def latent_upscale(
    samples: Latent,
    upscale_method: LatentResize,
    width: TargetSide = 512,
    height: TargetSide = 512,
    *,
    crop: Crop,
) -> Latent:
    """Resize latents to a size in pixels; a side of 0 follows from the other, both 0 change nothing."""
    from nodes.diffusion.latents import CELL
    from nodes.diffusion.resizing import resize

    rows, columns = samples.samples.shape[-2:]
    if width == 0 and height == 0:
        return samples
    if width == 0:
        height = max(64, height)
        width = max(64, round(columns * CELL * height / (rows * CELL)))
    elif height == 0:
        width = max(64, width)
        height = max(64, round(rows * CELL * width / (columns * CELL)))
    size = max(64, width) // CELL, max(64, height) // CELL
    return replace(samples, samples=resize(samples.samples, *size, upscale_method, crop=crop == "center"))


@node("LatentUpscaleBy", category="latent", title="Upscale Latent By")
def latent_upscale_by(
    samples: Latent,
    upscale_method: LatentResize,
    scale_by: Annotated[float, Range(0.01, 8.0, step=0.01)] = 1.5,
) -> Latent:
    """Resize latents by a factor."""
    from nodes.diffusion.resizing import resize

    rows, columns = samples.samples.shape[-2:]
    size = round(columns * scale_by), round(rows * scale_by)
    return replace(samples, samples=resize(samples.samples, *size, upscale_method))


@node("LatentComposite", category="latent", title="Latent Composite")
def latent_composite(
    samples_to: Latent, samples_from: Latent, x: CellOffset = 0, y: CellOffset = 0, feather: CellOffset = 0
) -> Latent:
    """Put one latent into another at x, y (pixels), with edges that fade over `feather` pixels."""
    from nodes.diffusion.latents import CELL, feathered, pasted

    base, top = samples_to.samples, samples_from.samples
    left, upper, soft = x // CELL, y // CELL, feather // CELL
    mask = None
    if soft:
        height, width = top.shape[-2:]
        sides = (left > 0, upper > 0, left + width < base.shape[-1], upper + height < base.shape[-2])
        mask = feathered(height, width, soft, sides)
    return replace(samples_to, samples=pasted(base, top, left, upper, mask))


@node("LatentCompositeMasked", category="latent", title="Latent Composite (Masked)")
def latent_composite_masked(
    *,
    destination: Latent,
    source: Latent,
    x: CellOffset = 0,
    y: CellOffset = 0,
    resize_source: bool = False,
    mask: Mask | None = None,
) -> Latent:
    """Put one latent into another at x, y (pixels) where the mask is 1; without a mask, all of it."""
    from nodes.diffusion.latents import CELL, pasted
    from nodes.diffusion.resizing import resize

    top = source.samples
    if resize_source:
        rows, columns = destination.samples.shape[-2:]
        top = resize(top, columns, rows, "bilinear")
    values = None if mask is None else mask.values
    return replace(destination, samples=pasted(destination.samples, top, x // CELL, y // CELL, values))


@node("LatentCrop", category="latent/transform", title="Crop Latent")
def latent_crop(
    samples: Latent,
    width: Annotated[int, Range(64, MAX_SIDE, step=8)] = 512,
    height: Annotated[int, Range(64, MAX_SIDE, step=8)] = 512,
    x: CellOffset = 0,
    y: CellOffset = 0,
) -> Latent:
    """Cut a rectangle out of latents; sizes and places are in pixels."""
    from nodes.diffusion.latents import cropped_to

    return cropped_to(samples, width, height, x, y)


@node("LatentFlip", category="latent/transform", title="Flip Latent")
def latent_flip(samples: Latent, flip_method: Flip) -> Latent:
    """Mirror latents, upside down or left to right."""
    from nodes.diffusion.latents import flipped

    return flipped(samples, "x" if flip_method.startswith("x") else "y")


@node("LatentRotate", category="latent/transform", title="Rotate Latent")
def latent_rotate(samples: Latent, rotation: Rotation) -> Latent:
    """Turn latents clockwise."""
    from nodes.diffusion.latents import rotated

    return rotated(samples, 0 if rotation == "none" else int(rotation.split()[0]) // 90)


@node("RepeatLatentBatch", category="latent/batch", title="Repeat Latent Batch")
def repeat_latent_batch(samples: Latent, amount: Annotated[int, Range(1, 64)] = 1) -> Latent:
    """Repeat latents, so that several pictures are made of each; every copy gets noise of its own."""
    from nodes.diffusion.latents import repeated

    return repeated(samples, amount)


@node("LatentFromBatch", category="latent/batch", title="Latent From Batch")
def latent_from_batch(
    samples: Latent,
    batch_index: Annotated[int, Range(0, 63)] = 0,
    length: Annotated[int, Range(1, 64)] = 1,
) -> Latent:
    """Take `length` latents out of a batch from number `batch_index` on; they keep the noise that they had in it."""
    from nodes.diffusion.latents import cut_out

    return cut_out(samples, batch_index, length)


@node("LatentBatch", category="latent/batch", title="Latent Batch")
def latent_batch(samples1: Latent, samples2: Latent) -> Latent:
    """Join two batches of latents; the second is resized to the first one's size."""
    from nodes.diffusion.latents import joined

    return joined((samples1, samples2))


@node("LatentBatchSeedBehavior", category="latent/advanced", title="Latent Batch Seed Behavior")
def latent_batch_seed_behavior(
    samples: Latent, seed_behavior: Literal["random", "fixed"] = "fixed"
) -> Latent:
    """Give all latents of a batch the same noise ("fixed"), or each its own ("random")."""
    if seed_behavior == "random":
        return replace(samples, batch_index=None)
    first = samples.batch_index[0] if samples.batch_index else 0
    return replace(samples, batch_index=(first,) * samples.samples.shape[0])


@node("LatentAdd", category="latent/advanced", title="Add Latents")
def latent_add(samples1: Latent, samples2: Latent) -> Latent:
    """The sum of two latents; the second is fitted to the first."""
    from nodes.diffusion.latents import matched

    one, other = matched(samples1, samples2)
    return replace(samples1, samples=one + other)


@node("LatentSubtract", category="latent/advanced", title="Subtract Latents")
def latent_subtract(samples1: Latent, samples2: Latent) -> Latent:
    """The first latent less the second, which is fitted to it."""
    from nodes.diffusion.latents import matched

    one, other = matched(samples1, samples2)
    return replace(samples1, samples=one - other)


@node("LatentMultiply", category="latent/advanced", title="Multiply Latent")
def latent_multiply(
    samples: Latent, multiplier: Annotated[float, Range(-10.0, 10.0, step=0.01)] = 1.0
) -> Latent:
    """Multiply latents by a number; below 1 makes the picture paler."""
    return replace(samples, samples=samples.samples * multiplier)


@node("LatentInterpolate", category="latent/advanced", title="Interpolate Latents")
def latent_interpolate(samples1: Latent, samples2: Latent, ratio: Share = 1.0) -> Latent:
    """Between two latents, direction and length apart; a ratio of 1 is the first."""
    from nodes.diffusion.latents import interpolated

    return interpolated(samples1, samples2, ratio)


@node("LatentBlend", category="latent/advanced", title="Blend Latents")
def latent_blend(samples1: Latent, samples2: Latent, blend_factor: Share = 0.5) -> Latent:
    """Mix two latents; a factor of 1 is the first."""
    from nodes.diffusion.latents import matched

    one, other = matched(samples1, samples2)
    return replace(samples1, samples=one * blend_factor + other * (1 - blend_factor))


@node("SetLatentNoiseMask", category="latent/inpaint", title="Set Latent Noise Mask")
def set_latent_noise_mask(samples: Latent, mask: Mask) -> Latent:
    """Sample only where the mask is 1; the rest of the picture stays as it is."""
    return replace(samples, noise_mask=mask.values)
