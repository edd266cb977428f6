"""Styles that a prompt can ask for: pencil drawing, pixel art, woodcut."""

from __future__ import annotations

from PIL import Image, ImageChops, ImageFilter, ImageOps

_PIXEL = 8
_PAPER = (240, 230, 206)
_PRINT_INK = (34, 28, 28)


def restyled(image: Image.Image, style: str) -> Image.Image:
    """`image` (RGB, drawn size) in the style named: plain, pencil, pixel or woodcut."""
    if style == "pencil":
        return _pencil(image)
    if style == "pixel":
        small = image.reduce(_PIXEL)
        return small.resize(image.size, Image.Resampling.NEAREST)
    if style == "woodcut":
        return _woodcut(image)
    return image


def _pencil(image: Image.Image) -> Image.Image:
    """White paper, grey lines along edges and a faint wash of the picture's greys."""
    grey = image.convert("L")
    wash = ImageOps.autocontrast(grey).point(lambda v: 200 + v * 50 // 255)
    return ImageChops.multiply(wash, _edges(image, gain=5)).convert("RGB")


def _woodcut(image: Image.Image) -> Image.Image:
    """Two tones of ink and paper; dark lines part areas of one tone."""
    tone = ImageOps.autocontrast(image.convert("L")).point(lambda v: 255 if v > 118 else 0)
    lines = _edges(image, gain=9)
    inverted = ImageChops.invert(lines)
    both = ImageChops.difference(tone, inverted)
    return ImageOps.colorize(both, _PRINT_INK, _PAPER)


def _edges(image: Image.Image, *, gain: int) -> Image.Image:
    """255 where the picture is flat, dark along its edges; 3 to 4 pixels wide."""
    bands = [_gradient(band) for band in image.split()]
    strongest = ImageChops.lighter(ImageChops.lighter(bands[0], bands[1]), bands[2])
    return strongest.point(lambda v: max(0, 255 - max(0, v - 14) * gain))


def _gradient(band: Image.Image) -> Image.Image:
    return ImageChops.subtract(band.filter(ImageFilter.MaxFilter(3)), band.filter(ImageFilter.MinFilter(3)))
