"""Nodes that write an invisible watermark into pictures, and look for it."""

from __future__ import annotations

from typing import Annotated, NamedTuple

from graphcore import Context, Each, Range, Text, node
from nodes.values import Image

WatermarkKey = Annotated[int, Range(0, 2**63 - 1)]


class FoundWatermarks(NamedTuple):
    """For each picture whether it carries a watermark of the key, its text (or ""), and how clear it is."""

    found: Each[bool]
    texts: Each[str]
    clearness: Each[float]


@node("EmbedWatermark", category="image/provenance", title="Embed Watermark")
def embed_watermark(
    ctx: Context,
    images: Image,
    text: Annotated[str, Text(multiline=False)] = "gcore",
    key: WatermarkKey = 0,
    strength: Annotated[float, Range(0.1, 10.0, step=0.1)] = 1.0,
) -> Image:
    """Write a text of up to six bytes into pictures, where the eye does not see it.

    It survives JPEG of quality 85, noise, and being resized, but not being cropped or turned. Whoever has the same key
    can read it. The pictures' own content is changed by about 2 of 255 levels; a higher strength holds more.
    """
    import torch

    from nodes.diffusion.pictures import require_picture
    from nodes.diffusion.watermark import marked

    require_picture(images)
    made = []
    for picture in images.pixels:
        ctx.check_cancelled()
        made.append(
            torch.from_numpy(marked(picture.double().numpy(), text, key=key, strength=strength)).float()
        )
    ctx.note(watermark=text)
    return Image(torch.stack(made), images.verdicts)


@node("DetectWatermark", category="image/provenance", title="Detect Watermark", output=True)
def detect_watermark(ctx: Context, images: Image, key: WatermarkKey = 0) -> FoundWatermarks:
    """Look for a watermark that was written with this key, and show what it says.

    `clearness` is 0 without a watermark; near 1 every bit stands out alike.
    """
    from nodes.diffusion.pictures import require_picture
    from nodes.diffusion.watermark import read_mark

    require_picture(images)
    found = [read_mark(picture.double().numpy(), key=key) for picture in images.pixels]
    for mark in found:
        said = "no watermark" if mark.text is None else f"watermark: {mark.text}"
        ctx.show("text", {"text": said})
    return FoundWatermarks(
        Each(mark.text is not None for mark in found),
        Each(mark.text or "" for mark in found),
        Each(mark.clearness for mark in found),
    )
