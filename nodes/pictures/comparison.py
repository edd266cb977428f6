"""Nodes that put pictures side by side: contact sheets, grids with labels, and how two pictures differ."""

from __future__ import annotations

import math
from typing import Annotated, NamedTuple

from graphcore import Context, Range, node
from nodes.values import Image

Columns = Annotated[int, Range(0, 256)]
Gap = Annotated[int, Range(0, 256)]
FontSize = Annotated[int, Range(6, 200)]


class Comparison(NamedTuple):
    """How alike two pictures are, and where they differ."""

    difference: Image
    ssim: float
    psnr: float
    error: float
    changed: float


@node("ContactSheet", category="image/batch", title="Contact Sheet")
def contact_sheet(
    images: list[Image],
    labels: list[str] | None = None,
    columns: Columns = 0,
    gap: Gap = 8,
    font_size: FontSize = 12,
) -> Image:
    """Put all pictures of a list (or a batch) into one, row by row, with a label below each if there are labels."""
    from nodes.diffusion.comparison import labelled_sheet

    return labelled_sheet(images, labels or (), columns=columns, gap=gap, font_size=font_size)


@node("XYGrid", category="image/batch", title="XY Grid")
def xy_grid(
    images: list[Image],
    row_labels: list[str],
    column_labels: list[str],
    gap: Gap = 8,
    font_size: FontSize = 12,
) -> Image:
    """Put pictures into a grid with labels of its rows and columns; pictures come row by row, as from Every Pair."""
    from nodes.diffusion.comparison import labelled_sheet

    return labelled_sheet(
        images,
        (),
        columns=0,
        gap=gap,
        font_size=font_size,
        row_labels=row_labels,
        column_labels=column_labels,
    )


@node("CompareImages", category="image", title="Compare Images", output=True)
def compare_images(
    ctx: Context, image_a: Image, image_b: Image, gain: Annotated[float, Range(1.0, 255.0, step=0.5)] = 1.0
) -> Comparison:
    """Say how alike two pictures are, and show where they differ, `gain` times as strongly.

    SSIM is 1 and PSNR 1000 for equal pictures; `changed` is the share of pixels that differ at all. Of batches, the
    first pictures are compared with each other, then the second; numbers are means.
    """
    import torch

    from graphcore import InputError
    from nodes.diffusion.comparison import difference_map, likeness
    from nodes.diffusion.pictures import require_picture

    require_picture(image_a)
    require_picture(image_b)
    if len(image_a.pixels) != len(image_b.pixels):
        raise InputError(
            f"There are {len(image_a.pixels)} pictures and {len(image_b.pixels)} to compare them with; give as many.",
            code="unequal-lists",
        )
    pairs = list(zip(image_a.pixels, image_b.pixels, strict=True))
    found = [likeness(one, other) for one, other in pairs]
    count = len(found)
    ssim = sum(each.ssim for each in found) / count
    psnr = sum(min(each.psnr, 1000.0) if math.isfinite(each.psnr) else 1000.0 for each in found) / count
    error = sum(each.error for each in found) / count
    changed = sum(each.changed for each in found) / count
    ctx.show("text", {"text": f"SSIM {ssim:.4f}, PSNR {psnr:.2f} dB, {100 * changed:.2f} % of pixels differ"})
    maps = torch.stack([difference_map(one, other, gain) for one, other in pairs])
    return Comparison(Image(maps), ssim, psnr, error, changed)
