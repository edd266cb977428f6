"""The small world the embedded checkpoint knows: what can be in a picture and how a picture is drawn by lot."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

SHAPES = ("circle", "square", "triangle", "star", "heart", "diamond", "ring", "cross")
OBJECTS = ("house", "tree", "boat", "car", "cat", "balloon", "flower", "mushroom", "castle")
FORBIDDEN = "skull"
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "white", "black")
BACKGROUNDS = (*COLOURS, "gray")
SKIES = ("day", "sunset", "night")
GROUNDS = ("grass", "sand", "snow", "sea")
STYLES = ("plain", "pencil", "pixel", "woodcut")
SIZES = ("small", "plain", "large")
COLUMNS = ("left", "middle", "right")
ROWS = ("top", "centre", "bottom")

_SKY_COLOURS = {"day": {"blue"}, "sunset": {"orange", "pink"}, "night": {"black", "blue"}}
_GROUND_COLOURS = {"grass": {"green"}, "sand": {"yellow", "orange"}, "snow": {"white"}, "sea": {"blue"}}
_AFLOAT = {"boat", "balloon"}
_CONFUSED = ({"red", "orange"}, {"pink", "purple"}, {"yellow", "orange"}, {"pink", "red"}, {"white", "gray"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Thing:
    """One object or shape. `column` and `row` count from 0 at the top left; objects on the ground have row 1."""

    kind: str
    colour: str
    column: int
    row: int = 1
    size: str = "plain"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Everything a caption may say about a picture.

    A plain picture has a `background` colour; a landscape has a `sky` and a `ground` instead.
    `counted` says that the things are equal and only their number is told. `light_side` is a column (0 or 2)
    of the sun or moon, or None. `jitter` seeds the small accidents of drawing and carries no meaning.
    """

    things: tuple[Thing, ...]
    background: str | None = None
    sky: str | None = None
    ground: str | None = None
    light_side: int | None = None
    clouds: bool = False
    mountains: bool = False
    counted: bool = False
    style: str = "plain"
    jitter: int = 0

    @property
    def light(self) -> str:
        """The body in the sky: the moon at night, else the sun."""
        return "moon" if self.sky == "night" else "sun"

    def meaning(self) -> str:
        """A key equal for two scenes with the same things, places, setting and style."""
        things = sorted((t.kind, t.colour, t.column, t.row) for t in self.things)
        return repr((things, self.background, self.sky, self.ground, self.light_side, self.style))


@dataclass(frozen=True, slots=True, kw_only=True)
class Mix:
    """Shares of each kind of picture: one phase of the curriculum.

    `small` is the weight of small objects against 5 of the others; one thing of each picture of shapes is of the
    `favoured` kinds, if there are any.
    """

    shapes: float = 0.35
    two: float = 0.0
    counted: float = 0.0
    light: float = 0.0
    extras: float = 0.0
    styled: float = 0.0
    forbidden: float = 0.0
    plain_objects: float = 0.1
    small: float = 1.0
    favoured: tuple[str, ...] = ()


PHASES: dict[str, Mix] = {
    "one": Mix(shapes=0.3),
    "light": Mix(light=0.4, extras=0.25, styled=0.06, forbidden=0.02),
    "two": Mix(two=0.45, counted=0.12, light=0.35, extras=0.3, styled=0.08, forbidden=0.03),
    "shapes": Mix(shapes=1.0, counted=0.1),
    "pairs": Mix(shapes=0.45, two=1.0, light=0.2, extras=0.2),
    "styled": Mix(two=0.2, light=0.25, extras=0.2, styled=1.0),
    "forbidden": Mix(shapes=0.0, two=0.25, light=0.25, extras=0.2, forbidden=1.0),
    "pointed": Mix(shapes=1.0, two=0.3, counted=0.05, favoured=("star", "cross", "diamond")),
    "skulls": Mix(shapes=0.0, two=0.1, light=0.25, extras=0.2, forbidden=1.0, small=6.0),
}


@dataclass(frozen=True, slots=True)
class Draw:
    """Draws scenes by lot from one phase's shares."""

    mix: Mix
    rng: random.Random = field(repr=False)

    def scene(self) -> Scene:
        rng, mix = self.rng, self.mix
        style = rng.choice(STYLES[1:]) if rng.random() < mix.styled else "plain"
        jitter = rng.getrandbits(31)
        if rng.random() < mix.shapes:
            if rng.random() < mix.counted * 2:
                return self._counted(style, jitter)
            return self._shapes(style, jitter)
        return self._landscape(style, jitter)

    def _shapes(self, style: str, jitter: int) -> Scene:
        rng = self.rng
        background = rng.choice(BACKGROUNDS)
        colours = distinct_colours(rng, {background}, 2)
        kinds = rng.choices(SHAPES, k=2)
        if self.mix.favoured:
            kinds[0] = rng.choice(self.mix.favoured)
        first = Thing(
            kind=kinds[0],
            colour=colours[0],
            column=rng.randrange(3),
            row=rng.randrange(3),
            size=rng.choices(SIZES, (1, 3, 1))[0],
        )
        if rng.random() >= self.mix.two:
            return Scene(things=(first,), background=background, style=style, jitter=jitter)
        low, high = (0, 2) if rng.random() < 0.7 else rng.choice(((0, 1), (1, 2)))
        across = rng.random() < 0.6
        line = rng.choices((0, 1, 2), (1, 3, 1))[0]
        spots = [(low, line), (high, line)] if across else [(line, low), (line, high)]
        things = tuple(
            Thing(kind=k, colour=c, column=x, row=y)
            for k, c, (x, y) in zip(kinds, colours, spots, strict=True)
        )
        return Scene(things=things, background=background, style=style, jitter=jitter)

    def _counted(self, style: str, jitter: int) -> Scene:
        rng = self.rng
        background = rng.choice(BACKGROUNDS)
        colour = distinct_colours(rng, {background}, 1)[0]
        kind = rng.choice(SHAPES)
        spots = COUNT_SPOTS[rng.choice((2, 3, 4))]
        things = tuple(Thing(kind=kind, colour=colour, column=x, row=y) for x, y in spots)
        return Scene(things=things, background=background, counted=True, style=style, jitter=jitter)

    def _landscape(self, style: str, jitter: int) -> Scene:
        rng, mix = self.rng, self.mix
        sky, ground = rng.choice(SKIES), rng.choice(GROUNDS)
        kinds = rng.choices(OBJECTS, k=2)
        if rng.random() < mix.forbidden:
            kinds[0] = FORBIDDEN
        if ground == "sea":
            kinds = [k if k in _AFLOAT or k == FORBIDDEN else rng.choice(("boat", "boat", k)) for k in kinds]
        plain = rng.random() < mix.plain_objects
        background = rng.choice(BACKGROUNDS) if plain else None
        avoid = {background} if background else _SKY_COLOURS[sky] | _GROUND_COLOURS[ground]
        clouds = not plain and rng.random() < mix.extras * 0.6
        colours = distinct_colours(rng, {str(c) for c in avoid} | ({"white"} if clouds else set()), 2)
        colours[0] = "white" if kinds[0] == FORBIDDEN else colours[0]
        if rng.random() < mix.two:
            columns = [0, 2] if rng.random() < 0.8 else rng.choice(([0, 1], [1, 2]))
            rng.shuffle(columns)
        else:
            columns = rng.choices((0, 1, 2), (2, 1, 2))
        size = rng.choices(SIZES, (mix.small, 4, 1))[0] if len(columns) == 1 else "plain"
        things = tuple(
            Thing(kind=k, colour=c, column=x, size=size)
            for k, c, x in zip(kinds, colours, columns, strict=False)
        )
        if plain:
            return Scene(things=things, background=background, style=style, jitter=jitter)
        side = rng.choice((0, 2)) if rng.random() < mix.light else None
        return Scene(
            things=things,
            sky=sky,
            ground=ground,
            light_side=side,
            clouds=clouds,
            mountains=rng.random() < mix.extras * 0.6,
            style=style,
            jitter=jitter,
        )


def surrounding_colours(scene: Scene) -> set[str]:
    """The colours of the background, or of sky, ground and clouds."""
    if scene.background is not None:
        return {scene.background}
    clouds = {"white"} if scene.clouds else set()
    return _SKY_COLOURS[str(scene.sky)] | _GROUND_COLOURS[str(scene.ground)] | clouds


COUNT_SPOTS: dict[int, tuple[tuple[int, int], ...]] = {
    2: ((0, 1), (2, 1)),
    3: ((0, 1), (1, 1), (2, 1)),
    4: ((0, 0), (2, 0), (0, 2), (2, 2)),
}


def distinct_colours(rng: random.Random, avoid: set[str], count: int) -> list[str]:
    """`count` colours that cannot be taken for each other nor for one in `avoid`."""
    chosen: list[str] = []
    for colour in rng.sample(COLOURS, len(COLOURS)):
        if not any(confusable(colour, other) for other in (*avoid, *chosen)):
            chosen.append(colour)
        if len(chosen) == count:
            return chosen
    raise ValueError(f"only {len(chosen)} of {count} colours are apart from {sorted(avoid)}")


def confusable(colour: str, other: str) -> bool:
    """Whether two colours are the same or too near to be told apart in a small picture."""
    return colour == other or {colour, other} in _CONFUSED


def scene_of(seed: int, phase: str) -> Scene:
    """The scene with this number in a phase: the same for ever, on every machine."""
    return Draw(PHASES[phase], random.Random(f"{phase}:{seed}")).scene()
