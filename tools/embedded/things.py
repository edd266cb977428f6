"""How each shape and object is drawn, in its own unit square."""

from __future__ import annotations

import math
from collections.abc import Callable

from tools.embedded.brush import Brush, Point
from tools.embedded.palette import INK, TRUNK, WINDOW_DAY, WINDOW_LIT, shade


def circle(b: Brush) -> None:
    b.ellipse(-0.95, -0.95, 0.95, 0.95, b.colour)


def square(b: Brush) -> None:
    b.box(-0.85, -0.85, 0.85, 0.85, b.colour)


def triangle(b: Brush) -> None:
    b.polygon([(0, -0.95), (1, 0.8), (-1, 0.8)], b.colour)


def star(b: Brush) -> None:
    b.polygon(_star(5, 1.08, 0.45), b.colour)


def heart(b: Brush) -> None:
    b.ellipse(-0.95, -0.85, 0.05, 0.15, b.colour)
    b.ellipse(-0.05, -0.85, 0.95, 0.15, b.colour)
    b.polygon([(-0.9, -0.15), (-0.45, -0.4), (0, -0.45), (0.45, -0.4), (0.9, -0.15), (0, 0.95)], b.colour)


def diamond(b: Brush) -> None:
    b.polygon([(0, -1.08), (0.8, 0), (0, 1.08), (-0.8, 0)], b.colour)


def ring(b: Brush) -> None:
    points = [(math.cos(a / 16 * math.pi) * 0.72, math.sin(a / 16 * math.pi) * 0.72) for a in range(34)]
    b.line(points, b.colour, 0.46)


def cross(b: Brush) -> None:
    b.box(-0.33, -0.95, 0.33, 0.95, b.colour)
    b.box(-0.95, -0.33, 0.95, 0.33, b.colour)


def house(b: Brush) -> None:
    window = WINDOW_LIT if b.lit else WINDOW_DAY
    b.box(-0.8, -0.15, 0.8, 1, b.colour)
    b.polygon([(-1.05, -0.12), (0, -1.05), (1.05, -0.12)], (88, 84, 98))
    b.box(-0.14, 0.35, 0.2, 1, TRUNK)
    b.box(-0.62, 0.1, -0.28, 0.44, window)
    b.box(0.34, 0.1, 0.66, 0.44, window)


def tree(b: Brush) -> None:
    b.box(-0.16, 0.2, 0.16, 1, TRUNK)
    b.ellipse(-0.85, -0.55, 0.1, 0.45, b.colour)
    b.ellipse(-0.1, -0.55, 0.85, 0.45, b.colour)
    b.ellipse(-0.6, -1.1, 0.6, 0.2, b.colour)


def boat(b: Brush) -> None:
    b.box(-0.06, -0.95, 0.04, 0.4, TRUNK)
    b.polygon([(0.1, -0.95), (0.1, 0.25), (0.85, 0.25)], (238, 232, 218))
    b.polygon([(-0.12, -0.75), (-0.12, 0.25), (-0.7, 0.25)], (238, 232, 218))
    b.polygon([(-1.1, 0.35), (1.1, 0.35), (0.7, 0.95), (-0.7, 0.95)], b.colour)


def car(b: Brush) -> None:
    window = WINDOW_LIT if b.lit else WINDOW_DAY
    b.polygon([(-0.6, 0.2), (-0.4, -0.4), (0.4, -0.4), (0.68, 0.2)], b.colour)
    b.polygon([(-0.44, 0.12), (-0.3, -0.26), (-0.02, -0.26), (-0.02, 0.12)], window)
    b.polygon([(0.08, 0.12), (0.08, -0.26), (0.32, -0.26), (0.48, 0.12)], window)
    b.box(-1.1, 0.15, 1.1, 0.72, b.colour)
    for x in (-0.6, 0.6):
        b.ellipse(x - 0.3, 0.4, x + 0.3, 1, INK)
        b.ellipse(x - 0.12, 0.58, x + 0.12, 0.82, (190, 190, 196))


def cat(b: Brush) -> None:
    b.line([(0.5, 0.75), (0.95, 0.55), (0.95, 0)], b.colour, 0.2)
    b.ellipse(-0.62, -0.1, 0.62, 1.05, b.colour)
    b.ellipse(-0.6, -0.95, 0.6, 0.2, b.colour)
    b.polygon([(-0.58, -0.4), (-0.52, -1.1), (-0.05, -0.8)], b.colour)
    b.polygon([(0.58, -0.4), (0.52, -1.1), (0.05, -0.8)], b.colour)
    eye = (250, 236, 120) if sum(b.colour) < 500 else INK
    for x in (-0.26, 0.26):
        b.ellipse(x - 0.13, -0.55, x + 0.13, -0.29, eye)
    b.polygon([(-0.1, -0.2), (0.1, -0.2), (0, -0.06)], shade(eye, 0.7))


def balloon(b: Brush) -> None:
    b.line([(-0.3, 0.3), (-0.16, 0.75)], INK, 0.05)
    b.line([(0.3, 0.3), (0.16, 0.75)], INK, 0.05)
    b.polygon([(-0.66, 0.1), (0.66, 0.1), (0.2, 0.6), (-0.2, 0.6)], b.colour)
    b.ellipse(-0.85, -1.15, 0.85, 0.5, b.colour)
    b.ellipse(-0.5, -0.85, -0.2, -0.4, shade(b.colour, 1.5))
    b.box(-0.24, 0.7, 0.24, 1.05, TRUNK)


def flower(b: Brush) -> None:
    stem = (36, 112, 52)
    b.box(-0.07, 0, 0.07, 1, stem)
    b.ellipse(0.05, 0.45, 0.6, 0.75, stem)
    b.ellipse(-0.6, 0.6, -0.05, 0.9, stem)
    for turn in range(6):
        x, y = 0.5 * math.sin(turn * math.pi / 3), -0.4 - 0.5 * math.cos(turn * math.pi / 3)
        b.ellipse(x - 0.32, y - 0.32, x + 0.32, y + 0.32, b.colour)
    heart_colour = (250, 206, 60) if b.colour[2] > 70 or b.colour[1] < 60 else (120, 66, 40)
    b.ellipse(-0.27, -0.67, 0.27, -0.13, heart_colour)


def mushroom(b: Brush) -> None:
    b.polygon([(-0.25, 0), (0.25, 0), (0.38, 1), (-0.38, 1)], (240, 230, 208))
    b.polygon(
        [(-1, 0.15), (-0.86, -0.4), (-0.5, -0.82), (0, -0.98), (0.5, -0.82), (0.86, -0.4), (1, 0.15)],
        b.colour,
    )
    dot = (252, 250, 240) if sum(b.colour) < 640 else (150, 150, 156)
    for x, y, r in ((-0.45, -0.25, 0.17), (0.05, -0.6, 0.17), (0.5, -0.2, 0.17)):
        b.ellipse(x - r, y - r, x + r, y + r, dot)


def castle(b: Brush) -> None:
    window = WINDOW_LIT if b.lit else (52, 50, 62)
    b.box(-0.75, -0.1, 0.75, 1, b.colour)
    for x in (-0.8, 0.8):
        b.box(x - 0.28, -0.5, x + 0.28, 1, b.colour)
        b.polygon([(x - 0.36, -0.48), (x, -1.1), (x + 0.36, -0.48)], (88, 84, 98))
        b.box(x - 0.1, -0.3, x + 0.1, 0.05, window)
    for x in (-0.42, -0.1, 0.22):
        b.box(x, -0.3, x + 0.2, 0, b.colour)
    b.ellipse(-0.24, 0.3, 0.24, 0.85, TRUNK)
    b.box(-0.24, 0.58, 0.24, 1, TRUNK)


def skull(b: Brush) -> None:
    b.box(-0.52, 0.3, 0.52, 1.02, INK)
    b.ellipse(-0.96, -1.06, 0.96, 0.62, INK)
    b.box(-0.44, 0.3, 0.44, 0.94, b.colour)
    b.ellipse(-0.88, -0.98, 0.88, 0.54, b.colour)
    for x in (-0.4, 0.4):
        b.ellipse(x - 0.26, -0.4, x + 0.26, 0.14, INK)
    b.polygon([(0, 0.1), (0.14, 0.4), (-0.14, 0.4)], INK)
    for x in (-0.22, 0, 0.22):
        b.line([(x, 0.6), (x, 0.94)], INK, 0.07)


def _star(points: int, outer: float, inner: float) -> list[Point]:
    angles = [math.pi * k / points for k in range(2 * points)]
    radii = [outer if k % 2 == 0 else inner for k in range(2 * points)]
    return [(r * math.sin(a), -r * math.cos(a)) for a, r in zip(angles, radii, strict=True)]


DRAWN: dict[str, Callable[[Brush], None]] = {
    "circle": circle,
    "square": square,
    "triangle": triangle,
    "star": star,
    "heart": heart,
    "diamond": diamond,
    "ring": ring,
    "cross": cross,
    "house": house,
    "tree": tree,
    "boat": boat,
    "car": car,
    "cat": cat,
    "balloon": balloon,
    "flower": flower,
    "mushroom": mushroom,
    "castle": castle,
    "skull": skull,
}
