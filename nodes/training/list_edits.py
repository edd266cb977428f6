"""Nodes that change every text or picture of a list in one way: for captions and pictures of data sets.

Where they take one, they run once for each of a list; those that join lists take them whole.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from graphcore import Each, OutputName, Range, Text, node
from nodes.choices import SeedInt
from nodes.values import Image

TEXTS = "dataset/text"
IMAGES = "dataset/image"
Line = Annotated[str, Text(multiline=False)]
Texts = Annotated[str, OutputName("texts")]
Images = Annotated[Image, OutputName("images")]
Factor = Annotated[float, Range(0.0, 2.0)]
Edge = Annotated[int, Range(1, 8192)]


@node("AddTextPrefix", category=TEXTS, title="Add Text Prefix")
def add_text_prefix(texts: Line, prefix: Line = "") -> Texts:
    """Put a text before each text."""
    return prefix + texts


@node("AddTextSuffix", category=TEXTS, title="Add Text Suffix")
def add_text_suffix(texts: Line, suffix: Line = "") -> Texts:
    """Put a text behind each text."""
    return texts + suffix


@node("ReplaceText", category=TEXTS, title="Replace Text")
def replace_text(texts: Line, find: Line = "", replace: Line = "") -> Texts:
    """Replace every occurrence of a text in each text."""
    return texts.replace(find, replace) if find else texts


@node("StripWhitespace", category=TEXTS, title="Strip Whitespace")
def strip_whitespace(texts: Line) -> Texts:
    """Each text without white space at its ends."""
    return texts.strip()


@node("TextToLowercase", category=TEXTS, title="Text to Lowercase")
def text_to_lowercase(texts: Line) -> Texts:
    """Each text in small letters."""
    return texts.lower()


@node("TextToUppercase", category=TEXTS, title="Text to Uppercase")
def text_to_uppercase(texts: Line) -> Texts:
    """Each text in capitals."""
    return texts.upper()


@node("TruncateText", category=TEXTS, title="Truncate Text")
def truncate_text(texts: Line, max_length: Annotated[int, Range(1, 10000)] = 77) -> Texts:
    """The first characters of each text."""
    return texts[:max_length]


@node("MergeTextLists", category=TEXTS, title="Merge Text Lists")
def merge_text_lists(texts: list[str]) -> Annotated[Each[str], OutputName("texts")]:
    """Several lists of texts as one."""
    return Each(texts)


@node("MergeImageLists", category=IMAGES, title="Merge Image Lists")
def merge_image_lists(images: list[Image]) -> Annotated[Each[Image], OutputName("images")]:
    """Several lists of pictures as one; sizes may differ."""
    return Each(images)


@node("AdjustBrightness", category=IMAGES, title="Adjust Brightness")
def adjust_brightness(images: Image, factor: Factor = 1.0) -> Images:
    """Make pictures brighter or darker: their values times a factor; above 1 is brighter."""
    return replace(images, pixels=(images.pixels * factor).clamp(0, 1))


@node("AdjustContrast", category=IMAGES, title="Adjust Contrast")
def adjust_contrast(images: Image, factor: Factor = 1.0) -> Images:
    """Give pictures more or less contrast: their distance from middle grey times a factor; above 1 is more."""
    return replace(images, pixels=((images.pixels - 0.5) * factor + 0.5).clamp(0, 1))


@node("NormalizeImages", category=IMAGES, title="Normalize Images")
def normalize_images(
    images: Image,
    mean: Annotated[float, Range(0.0, 1.0)] = 0.5,
    std: Annotated[float, Range(0.001, 1.0)] = 0.5,
) -> Images:
    """Pictures less a mean, divided by a deviation: no longer between 0 and 1."""
    return replace(images, pixels=(images.pixels - mean) / std)


@node("ResizeImagesByShorterEdge", category=IMAGES, title="Resize Images by Shorter Edge")
def resize_images_by_shorter_edge(images: Image, shorter_edge: Edge = 512) -> Images:
    """Resize pictures so that their shorter side has this size."""
    rows, columns = images.pixels.shape[1:3]
    return _scaled(images, shorter_edge / min(rows, columns))


@node("ResizeImagesByLongerEdge", category=IMAGES, title="Resize Images by Longer Edge")
def resize_images_by_longer_edge(images: Image, longer_edge: Edge = 1024) -> Images:
    """Resize pictures so that their longer side has this size."""
    rows, columns = images.pixels.shape[1:3]
    return _scaled(images, longer_edge / max(rows, columns))


@node("CenterCropImages", category=IMAGES, title="Center Crop Images")
def center_crop_images(images: Image, width: Edge = 512, height: Edge = 512) -> Images:
    """Cut a rectangle out of the middle of pictures; it ends at their edges."""
    rows, columns = images.pixels.shape[1:3]
    return _cut(images, max(0, (columns - width) // 2), max(0, (rows - height) // 2), width, height)


@node("RandomCropImages", category=IMAGES, title="Random Crop Images")
def random_crop_images(images: Image, width: Edge = 512, height: Edge = 512, seed: SeedInt = 0) -> Images:
    """Cut a rectangle out of pictures at a place that the seed chooses; it ends at their edges."""
    from random import Random

    rows, columns = images.pixels.shape[1:3]
    random = Random(seed)
    left, top = random.randint(0, max(0, columns - width)), random.randint(0, max(0, rows - height))
    return _cut(images, left, top, width, height)


@node("ImageGrid", category=IMAGES, title="Image Grid")
def image_grid(
    images: list[Image],
    columns: Annotated[int, Range(1, 20)] = 4,
    cell_width: Annotated[int, Range(32, 2048)] = 256,
    cell_height: Annotated[int, Range(32, 2048)] = 256,
    padding: Annotated[int, Range(0, 50)] = 4,
) -> Images:
    """Put all pictures of a list into one, row by row, each resized to the same cell."""
    from nodes.diffusion.picture_batches import in_grid, joined, resized

    cells = [resized(image, cell_width, cell_height, "lanczos") for image in images]
    return in_grid(joined(cells), columns, padding)


def _scaled(images: Image, factor: float) -> Image:
    from nodes.diffusion.picture_batches import resized

    rows, columns = images.pixels.shape[1:3]
    return resized(images, max(1, int(columns * factor)), max(1, int(rows * factor)), "lanczos")


def _cut(images: Image, left: int, top: int, width: int, height: int) -> Image:
    pixels = images.pixels[:, top : top + height, left : left + width]
    return replace(images, pixels=pixels.contiguous())
