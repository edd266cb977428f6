"""Where the things of a scene may stand for all that its prompt says: "left of" does not tell how high."""

from __future__ import annotations

import re
from dataclasses import replace

from tools.embedded.world import SHAPES, Scene

_SIDE_BY_SIDE = re.compile(r"\b(left|right) of\b")
_ONE_OVER_OTHER = re.compile(r"\b(above|over|below|under)\b")
_APART = ((0, 2), (0, 1), (1, 2))
_LINES = (0, 1, 2)


def admissible(scene: Scene, text: str) -> tuple[Scene, ...]:
    """`scene` first, then the same things at the other places that `text` allows.

    Only pictures of two things leave places open: pairs described by "left of" or "above" may stand anywhere in
    that order, and shapes of one row whose row is not named may stand in any row.
    """
    if len(scene.things) != 2 or scene.counted:
        return (scene,)
    first, second = scene.things
    across = first.row == second.row
    related = _related(scene, text)
    rows = _LINES if first.kind in SHAPES else (first.row,)
    if across:
        columns = _APART if related else (_ordered(first.column, second.column),)
        places = [((a, row), (b, row)) for a, b in columns for row in rows]
    elif related:
        places = [((column, a), (column, b)) for a, b in _APART for column in _LINES]
    else:
        return (scene,)
    swapped = (first.column, first.row) > (second.column, second.row)
    scenes = [_placed(scene, *(reversed(pair) if swapped else pair)) for pair in places]
    return (scene, *(other for other in scenes if other != scene))


def _related(scene: Scene, text: str) -> bool:
    across = scene.things[0].row == scene.things[1].row
    said = re.sub(r"\b(under|over) an? \w+ (sky|moon|sun)", "", text)
    return bool((_SIDE_BY_SIDE if across else _ONE_OVER_OTHER).search(said))


def _ordered(one: int, other: int) -> tuple[int, int]:
    return min(one, other), max(one, other)


def _placed(scene: Scene, first: tuple[int, int], second: tuple[int, int]) -> Scene:
    one, other = scene.things
    return replace(
        scene,
        things=(
            replace(one, column=first[0], row=first[1]),
            replace(other, column=second[0], row=second[1]),
        ),
    )
