"""Where the nodes of a graph go on the canvas: layers from left to right, few crossings, no overlaps.

Layering by longest path, then barycentre ordering within layers (Sugiyama, Tagawa & Toda 1981).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise

COLUMN_GAP = 90
ROW_GAP = 50
TITLE_HEIGHT = 30
SWEEPS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """The size of a node, and after arrangement its place, in pixels; y is the top below the title."""

    width: int
    height: int
    x: int = 0
    y: int = 0


def arrange(boxes: Mapping[str, Box], edges: Iterable[tuple[str, str]]) -> dict[str, Box]:
    """Place every box; `edges` are pairs (from, to) of known ids. Circles are allowed."""
    before: dict[str, list[str]] = {name: [] for name in boxes}
    after: dict[str, list[str]] = {name: [] for name in boxes}
    for origin, target in dict.fromkeys(edges):
        if origin != target:
            before[target].append(origin)
            after[origin].append(target)
    order = topological_order(before, after)
    layers = _layers(order, before, after)
    _uncross(layers, before, after)
    return _coordinates(layers, boxes, before)


def topological_order(before: Mapping[str, Iterable[str]], after: Mapping[str, Iterable[str]]) -> list[str]:
    """Every node after those it depends on; nodes in circles come last, in their given order."""
    waiting = {name: len(list(names)) for name, names in before.items()}
    ready = [name for name, count in waiting.items() if count == 0]
    order: list[str] = []
    position = 0
    while position < len(ready):
        name = ready[position]
        position += 1
        order.append(name)
        for target in after[name]:
            waiting[target] -= 1
            if waiting[target] == 0:
                ready.append(target)
    placed = set(order)
    return order + [name for name in before if name not in placed]


def _layers(
    order: list[str], before: Mapping[str, list[str]], after: Mapping[str, list[str]]
) -> list[list[str]]:
    place = {name: index for index, name in enumerate(order)}
    layer: dict[str, int] = {}
    for name in order:
        layer[name] = max(
            (layer[origin] + 1 for origin in before[name] if place[origin] < place[name]), default=0
        )
    for name in reversed(order):
        below = [layer[target] for target in after[name] if place[target] > place[name]]
        if below and not before[name]:
            layer[name] = max(layer[name], min(below) - 1)
    layers: list[list[str]] = [[] for _ in range(max(layer.values(), default=-1) + 1)]
    for name in order:
        layers[layer[name]].append(name)
    return [names for names in layers if names]


def _uncross(
    layers: list[list[str]], before: Mapping[str, list[str]], after: Mapping[str, list[str]]
) -> None:
    """Sort each layer by the mean position of its neighbours, sweeping right and left in turn."""
    position = {name: float(index) for names in layers for index, name in enumerate(names)}
    for sweep in range(SWEEPS):
        neighbours = before if sweep % 2 == 0 else after
        for names in layers if sweep % 2 == 0 else reversed(layers):
            names.sort(key=lambda name: _mean(neighbours[name], position, position[name]))
            position.update({name: float(index) for index, name in enumerate(names)})


def _mean(names: list[str], position: Mapping[str, float], default: float) -> float:
    return sum(position[name] for name in names) / len(names) if names else default


def _coordinates(
    layers: list[list[str]], boxes: Mapping[str, Box], before: Mapping[str, list[str]]
) -> dict[str, Box]:
    placed: dict[str, Box] = {}
    left = 0
    for names in layers:
        tops = _tops(names, boxes, before, placed)
        for name, top in zip(names, tops, strict=True):
            box = boxes[name]
            placed[name] = Box(width=box.width, height=box.height, x=left, y=round(top))
        left += max(boxes[name].width for name in names) + COLUMN_GAP
    return placed


def _tops(
    names: list[str], boxes: Mapping[str, Box], before: Mapping[str, list[str]], placed: Mapping[str, Box]
) -> list[float]:
    """Close to the mean of the nodes upstream, pushed down as far as the order of the layer needs."""
    centres = {name: box.y + box.height / 2 for name, box in placed.items()}
    wished = [
        _mean([origin for origin in before[name] if origin in placed], centres, boxes[name].height / 2)
        - boxes[name].height / 2
        for name in names
    ]
    tops = [wished[0]]
    for (upper, _), wish in zip(pairwise(names), wished[1:], strict=True):
        tops.append(max(wish, tops[-1] + boxes[upper].height + TITLE_HEIGHT + ROW_GAP))
    drift = sum(top - wish for top, wish in zip(tops, wished, strict=True)) / len(tops)
    return [top - drift for top in tops]
