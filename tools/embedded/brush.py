"""A pen for one thing: draws in the thing's own unit square and records where its own colour lies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw

from tools.embedded.palette import RGB

Point = tuple[float, float]
Fill = RGB | int


@dataclass(frozen=True, slots=True)
class Canvas:
    """Draws on `image` with all coordinates and widths times `scale`, so that one scene has pictures of any size."""

    image: Image.Image
    scale: int = 1

    def polygon(self, points: Sequence[Point], fill: Fill) -> None:
        self._pen().polygon([(x * self.scale, y * self.scale) for x, y in points], fill=fill)

    def ellipse(self, box: Sequence[float], fill: Fill) -> None:
        self._pen().ellipse([value * self.scale for value in box], fill=fill)

    def rectangle(self, box: Sequence[float], fill: Fill) -> None:
        left, top, right, bottom = box
        edge = self.scale - 1
        corners = [value * self.scale for value in (left, top, right, bottom)]
        self._pen().rectangle([*corners[:2], corners[2] + edge, corners[3] + edge], fill=fill)

    def line(self, points: Sequence[Point], fill: Fill, width: int) -> None:
        spots = [(x * self.scale, y * self.scale) for x, y in points]
        self._pen().line(spots, fill=fill, width=width * self.scale, joint="curve")

    def _pen(self) -> ImageDraw.ImageDraw:
        return ImageDraw.Draw(self.image)


@dataclass(frozen=True, slots=True)
class Brush:
    """Maps x in -1..1 (left to right) and y in -1..1 (top to bottom) to a square of half width `radius` pixels.

    `mask` holds 255 where the thing's own colour `colour` was drawn last, for measuring it later.
    """

    canvas: Canvas
    mask: Canvas
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
        self.canvas.line(spots, fill=fill, width=pixels)
        self.mask.line(spots, fill=self._own(fill), width=pixels)

    def _place(self, point: Point) -> Point:
        return self.x + point[0] * self.radius, self.y + point[1] * self.radius

    def _own(self, fill: RGB) -> int:
        return 255 if fill == self.colour else 0


def blank_mask(side: int) -> Image.Image:
    """An empty mask of `side` by `side` pixels."""
    return Image.new("L", (side, side), 0)
