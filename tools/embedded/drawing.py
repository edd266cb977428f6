"""Draws a scene: 128x128 RGB, drawn at twice the size and reduced, and the masks of its things."""

from __future__ import annotations

import random
from dataclasses import dataclass
from fractions import Fraction

from PIL import Image

from tools.embedded.brush import Brush, Canvas, blank_mask
from tools.embedded.palette import GROUND, MOON, MOUNTAINS, PALETTE, RGB, SKY, SUN, shade
from tools.embedded.styles import restyled
from tools.embedded.things import DRAWN
from tools.embedded.world import SHAPES, Scene, Thing

SIDE = 128
_DRAWN_SIDE = 256
_OBJECT_RADIUS = {"small": 34, "plain": 46, "large": 58}
_SHAPE_RADIUS = {"small": 25, "plain": 36, "large": 46}
_COUNT_RADIUS = 32


@dataclass(frozen=True, slots=True)
class Drawing:
    """A picture (RGB) and, for each thing of the scene, the mask ("L") of the thing's own colour."""

    picture: Image.Image
    masks: tuple[Image.Image, ...]


def drawn(scene: Scene, *, steady: bool = False, scale: int = 1) -> Drawing:
    """Draw `scene` at `scale` times 128x128 pixels.

    `steady` leaves out the accidents of place and size: used to know where a thing should be.
    """
    rng = random.Random(scene.jitter)
    wobble = 0.0 if steady else 1.0
    horizon = round(_DRAWN_SIDE * 0.66 + wobble * rng.uniform(-8, 8))
    if scene.background is not None:
        image = Image.new("RGB", (_DRAWN_SIDE * scale,) * 2, PALETTE[scene.background])
    else:
        image = _landscape(scene, horizon, rng, scale)
    pen = Canvas(image, scale)
    masks = []
    for thing in sorted(scene.things, key=lambda t: t.row):
        mask = blank_mask(_DRAWN_SIDE * scale)
        brush = _brush(scene, thing, pen, Canvas(mask, scale), horizon, rng, wobble)
        if scene.ground is not None:
            _shadow(pen, brush, scene)
        DRAWN[thing.kind](brush)
        masks.append(mask.reduce(2))
    return Drawing(picture=restyled(image, scene.style).reduce(2), masks=tuple(masks))


def drawn_at(scene: Scene, side: int) -> Drawing:
    """The drawing of `scene` at `side` by `side` pixels: all things grow with the picture."""
    share = Fraction(side, SIDE)
    drawing = drawn(scene, scale=share.numerator)
    if share.denominator == 1:
        return drawing
    return Drawing(
        picture=drawing.picture.reduce(share.denominator),
        masks=tuple(mask.reduce(share.denominator) for mask in drawing.masks),
    )


def picture_of(scene: Scene, *, scale: int = 1) -> Image.Image:
    """The picture of `scene`, with its accidents, `scale` times 128x128 pixels."""
    return drawn(scene, scale=scale).picture


def _brush(
    scene: Scene,
    thing: Thing,
    pen: Canvas,
    mask: Canvas,
    horizon: int,
    rng: random.Random,
    wobble: float,
) -> Brush:
    dx, dy, grow = (
        rng.uniform(-7, 7) * wobble,
        rng.uniform(-7, 7) * wobble,
        rng.uniform(-0.06, 0.06) * wobble,
    )
    colour = PALETTE[thing.colour]
    if thing.kind in SHAPES:
        radius = (_COUNT_RADIUS if scene.counted else _SHAPE_RADIUS[thing.size]) * (1 + grow)
        x, y = 50 + 78 * thing.column + dx, 50 + 78 * thing.row + dy
        return Brush(pen, mask, x, y, radius, colour)
    radius = _OBJECT_RADIUS[thing.size] * (1 + grow)
    x = 58 + 70 * thing.column + dx
    base = _DRAWN_SIDE * 0.72 + 24 + dy if scene.ground is None else horizon + 38 + dy
    if thing.kind == "balloon":
        base -= 60
    return Brush(pen, mask, x, base - radius, radius, colour, lit=scene.sky == "night")


def _shadow(pen: Canvas, brush: Brush, scene: Scene) -> None:
    base = brush.y + brush.radius
    if scene.ground is None or brush.radius == 0:
        return
    width = brush.radius * 0.95
    height = brush.radius * 0.14
    if base < _DRAWN_SIDE * 0.7:
        return
    pen.ellipse(
        [brush.x - width, base - height, brush.x + width, base + height],
        fill=shade(_ground_colour(scene), 0.82),
    )


def _landscape(scene: Scene, horizon: int, rng: random.Random, scale: int) -> Image.Image:
    top, bottom = SKY[str(scene.sky)]
    strip = Image.new("RGB", (1, 2))
    strip.putpixel((0, 0), top)
    strip.putpixel((0, 1), bottom)
    side = _DRAWN_SIDE * scale
    image = strip.resize((side, horizon * scale), Image.Resampling.BILINEAR).crop((0, 0, side, side))
    pen = Canvas(image, scale)
    if scene.sky == "night":
        _stars(pen, rng)
    if scene.light_side is not None:
        _light(pen, scene, rng)
    if scene.clouds:
        _clouds(pen, scene, rng)
    if scene.mountains:
        _mountains(pen, scene, horizon, rng)
    ground = _ground_colour(scene)
    pen.rectangle([0, horizon, _DRAWN_SIDE, _DRAWN_SIDE], fill=ground)
    if scene.ground == "sea":
        for k in range(3):
            y = horizon + 18 + 26 * k
            pen.rectangle([0, y, _DRAWN_SIDE, y + 7], fill=shade(ground, 1.18))
    return image


def _ground_colour(scene: Scene) -> RGB:
    ground = GROUND[str(scene.ground)]
    return shade(ground, 0.6) if scene.sky == "night" else ground


def _stars(pen: Canvas, rng: random.Random) -> None:
    for _ in range(9):
        x, y, r = rng.uniform(6, 250), rng.uniform(6, 120), rng.choice((2.5, 3.5))
        pen.ellipse([x - r, y - r, x + r, y + r], fill=(255, 250, 210))


def _light(pen: Canvas, scene: Scene, rng: random.Random) -> None:
    x = 46 + 82 * int(scene.light_side or 0) + rng.uniform(-8, 8)
    y, r = 44 + rng.uniform(-6, 6), 25
    if scene.light == "sun":
        pen.ellipse([x - r, y - r, x + r, y + r], fill=SUN)
        return
    points_box = [x - r, y - r, x + r, y + r]
    pen.ellipse(points_box, fill=MOON)


def _clouds(pen: Canvas, scene: Scene, rng: random.Random) -> None:
    fill = {"day": (252, 252, 254), "sunset": (255, 222, 196), "night": (88, 94, 136)}[str(scene.sky)]
    for x in (70 + rng.uniform(-24, 24), 186 + rng.uniform(-24, 24)):
        y = 78 + rng.uniform(-22, 10)
        for dx, dy, r in ((-26, 4, 13), (-6, -6, 20), (18, 2, 15)):
            pen.ellipse([x + dx - r * 1.3, y + dy - r, x + dx + r * 1.3, y + dy + r], fill=fill)


def _mountains(pen: Canvas, scene: Scene, horizon: int, rng: random.Random) -> None:
    body = shade(MOUNTAINS, 0.55) if scene.sky == "night" else MOUNTAINS
    for centre in (50, 200, 128):
        x, half, height = centre + rng.uniform(-14, 14), 78, 84 + rng.uniform(-14, 14)
        top = horizon - height
        pen.polygon([(x - half, horizon), (x, top), (x + half, horizon)], fill=body)
        cap = height * 0.28
        width = half * 0.28
        pen.polygon([(x - width, top + cap), (x, top), (x + width, top + cap)], fill=shade(body, 1.7))
