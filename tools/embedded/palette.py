"""The colours of the world, as RGB."""

from __future__ import annotations

RGB = tuple[int, int, int]

PALETTE: dict[str, RGB] = {
    "red": (214, 40, 40),
    "orange": (245, 134, 32),
    "yellow": (250, 214, 50),
    "green": (46, 150, 66),
    "blue": (40, 92, 214),
    "purple": (130, 60, 180),
    "pink": (248, 150, 190),
    "white": (248, 248, 246),
    "black": (28, 28, 32),
    "gray": (150, 152, 156),
}

SKY: dict[str, tuple[RGB, RGB]] = {
    "day": ((120, 186, 246), (196, 226, 250)),
    "sunset": ((236, 104, 92), (255, 186, 112)),
    "night": ((14, 18, 52), (38, 46, 104)),
}
GROUND: dict[str, RGB] = {
    "grass": (104, 176, 72),
    "sand": (226, 194, 124),
    "snow": (236, 242, 248),
    "sea": (38, 116, 170),
}
MOUNTAINS: RGB = (122, 116, 142)
TRUNK: RGB = (96, 66, 44)
INK: RGB = (40, 38, 46)
WINDOW_DAY: RGB = (196, 222, 236)
WINDOW_LIT: RGB = (255, 228, 130)
SUN: RGB = (255, 224, 70)
MOON: RGB = (240, 238, 214)


def shade(colour: RGB, factor: float) -> RGB:
    """The colour darkened (`factor` below 1) or lightened towards white (above 1)."""
    if factor <= 1:
        return tuple(round(c * factor) for c in colour)  # type: ignore[return-value]
    return tuple(round(255 - (255 - c) * (2 - factor)) for c in colour)  # type: ignore[return-value]


def nearest(colour: tuple[float, float, float]) -> str:
    """The name of the palette colour nearest in RGB."""
    return min(
        PALETTE, key=lambda name: sum((a - b) ** 2 for a, b in zip(PALETTE[name], colour, strict=True))
    )
