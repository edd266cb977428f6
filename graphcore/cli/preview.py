"""A picture as text: two pixels a character, for terminals with colours."""

from __future__ import annotations

from io import BytesIO

from PIL import Image
from rich.color import Color
from rich.style import Style
from rich.text import Text


def preview_text(data: bytes, *, width: int) -> Text:
    """An encoded picture drawn with half blocks, at most `width` characters wide and about square."""
    with Image.open(BytesIO(data)) as picture:
        scale = width / max(picture.width, picture.height)
        size = (max(1, round(picture.width * scale)), max(2, round(picture.height * scale) // 2 * 2))
        small = picture.convert("RGB").resize(size, Image.Resampling.BILINEAR)
    raw = small.tobytes()
    text = Text()
    for row in range(0, size[1], 2):
        for column in range(size[0]):
            style = Style(
                color=_colour(raw, row * size[0] + column), bgcolor=_colour(raw, (row + 1) * size[0] + column)
            )
            text.append("▀", style)
        text.append("\n")
    return text


def _colour(raw: bytes, pixel: int) -> Color:
    red, green, blue = raw[3 * pixel : 3 * pixel + 3]
    return Color.from_rgb(red, green, blue)
