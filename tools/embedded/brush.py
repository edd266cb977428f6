"""A pen for one thing: draws in the thing's own unit square and records where its own colour lies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw

from tools.embedded.palette import RGB

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Brush:
    """Maps x in -1..1 (left to right) and y in -1..1 (top to bottom) to a square of half width `radius` pixels.

    `mask` holds 255 where the thing's own colour `colour` was drawn last, for measuring it later.
    """

    canvas: ImageDraw.ImageDraw
    mask: ImageDraw.ImageDraw
    x: float
    y: float
    radius: float
    colour: RGB
    lit: bool = False

    def polygon(self, points: Sequence[Point], fill: RGB) -> None:
        spots = [self._place(p) for p in points]
        self.canvas.polygon(spots, fill=fill)
        self.mask.polygon(spots, fill=self._own(fill))

    def ellipse(self, left: float, top: float, right: float, bottom: float, fill: RGB) -> None:
        box = [*self._place((left, top)), *self._place((right, bottom))]
        self.canvas.ellipse(box, fill=fill)
        self.mask.ellipse(box, fill=self._own(fill))

    def box(self, left: float, top: float, right: float, bottom: float, fill: RGB) -> None:
        self.polygon([(left, top), (right, top), (right, bottom), (left, bottom)], fill)

    def line(self, points: Sequence[Point], fill: RGB, width: float) -> None:
        spots = [self._place(p) for p in points]
        pixels = max(1, round(width * self.radius))
        self.canvas.line(spots, fill=fill, width=pixels, joint="curve")
        self.mask.line(spots, fill=self._own(fill), width=pixels)

    def _place(self, point: Point) -> Point:
        return self.x + point[0] * self.radius, self.y + point[1] * self.radius

    def _own(self, fill: RGB) -> int:
        return 255 if fill == self.colour else 0


def blank_mask(side: int) -> Image.Image:
    """An empty mask of `side` by `side` pixels."""
    return Image.new("L", (side, side), 0)
