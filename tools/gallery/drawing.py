"""A workflow as an SVG drawing: its nodes in layers from top to bottom, its links coloured by what flows along them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from graphcore import Link, NodeEntry, Registry, Workflow
from graphcore.formats.ui.arrangement import Box, arrange
from graphcore.spec import NodeSpec
from tools.docs.node_drawing import fitted, text_width, type_colour

WIDTH: Final = 196
LINE: Final = 16
HEAD: Final = 22
MARGIN: Final = 14
INSET: Final = 9
SHRINK: Final = 2
"""Nodes are arranged at this many times their size, so that gaps come out smaller than in an editor."""
TITLE_SIZE, TEXT_SIZE = 12, 11
LEGEND: Final = 24
_BOLD: Final = 1.15


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wire:
    """A link to draw: the nodes at its ends, the output that it begins at, and the type of what flows."""

    origin: str
    output: int
    target: str
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Words:
    """What stands in a node's box."""

    title: str
    lines: tuple[str, ...]

    @property
    def height(self) -> int:
        return HEAD + len(self.lines) * LINE + 7 * bool(self.lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Label:
    """An item of the legend and its place."""

    kind: str
    x: int
    y: int


def drawing(workflow: Workflow, registry: Registry) -> str:
    """The SVG text of a workflow's drawing."""
    specs = {name: _spec(node.type, registry) for name, node in workflow.nodes.items()}
    words = {name: _words(node, specs[name]) for name, node in workflow.nodes.items()}
    wires = list(_wires(workflow, specs))
    boxes = _arranged(words, wires)
    width = max(box.x + box.width for box in boxes.values()) + MARGIN
    bottom = max(box.y + box.height for box in boxes.values())
    labels = list(_labels(sorted({wire.kind for wire in wires}), width, bottom + LEGEND))
    height = max((label.y for label in labels), default=bottom) + MARGIN
    parts = [_opening(workflow.title, width, height)]
    parts += _curves(wires, boxes)
    parts += [_node(words[name], box) for name, box in boxes.items()]
    parts += [_label(label) for label in labels]
    return "".join([*parts, "</svg>\n"])


def _spec(name: str, registry: Registry) -> NodeSpec:
    found = registry.get(name)
    if found is None:
        raise ValueError(f"the node type {name} is not known")
    return found


def _words(node: NodeEntry, spec: NodeSpec) -> _Words:
    """A title, the type below a title of the workflow's own, and the node's first text."""
    kind = spec.title or spec.name
    title = node.title or kind
    texts = [
        " ".join(value.split())
        for name, value in node.inputs.items()
        if isinstance(value, str) and not _is_option(spec, name)
    ]
    lines = [kind] if title != kind else []
    return _Words(title=title, lines=(*lines, *filter(None, texts[:1])))


def _is_option(spec: NodeSpec, name: str) -> bool:
    """True for one of several words, which say little by themselves."""
    declared = spec.by_name.get(name)
    return declared is None or declared.choices is not None


def _wires(workflow: Workflow, specs: Mapping[str, NodeSpec]) -> Iterator[_Wire]:
    for target, node in workflow.nodes.items():
        for name, value in node.inputs.items():
            for link in value if isinstance(value, (list, tuple)) else [value]:
                if isinstance(link, Link):
                    spec, declared = specs[link.node], specs[target].input(name)
                    index = spec.output_index[link.output] if isinstance(link.output, str) else link.output
                    kind = spec.outputs[index].type
                    if kind.is_any and declared is not None:
                        kind = declared.type
                    yield _Wire(origin=link.node, output=index, target=target, kind=kind.name)


def _arranged(words: Mapping[str, _Words], wires: Sequence[_Wire]) -> dict[str, Box]:
    """Where the boxes go: layers from top to bottom, which is an editor's arrangement turned around."""
    turned = {name: Box(width=SHRINK * word.height, height=SHRINK * WIDTH) for name, word in words.items()}
    placed = arrange(turned, [(wire.origin, wire.target) for wire in wires])
    left = min(box.y for box in placed.values())
    return {
        name: Box(
            width=WIDTH,
            height=words[name].height,
            x=MARGIN + (box.y - left) // SHRINK,
            y=MARGIN + box.x // SHRINK,
        )
        for name, box in placed.items()
    }


def _curves(wires: Sequence[_Wire], boxes: Mapping[str, Box]) -> Iterator[str]:
    """The links, from the lower edge of one box to the upper edge of another, side by side in the order of places."""
    starts = {wire: place for name in boxes for wire, place in _ports(wires, boxes, name, leaving=True)}
    ends = {wire: place for name in boxes for wire, place in _ports(wires, boxes, name, leaving=False)}
    for wire in dict.fromkeys(wires):
        origin, target = boxes[wire.origin], boxes[wire.target]
        top, bottom = origin.y + origin.height, target.y
        bend = max(24, (bottom - top) // 2)
        path = f"M{starts[wire]} {top}C{starts[wire]} {top + bend} {ends[wire]} {bottom - bend} {ends[wire]} {bottom}"
        yield f'<path class="w" d="{path}" stroke="{type_colour(wire.kind)}"/>'


def _ports(
    wires: Sequence[_Wire], boxes: Mapping[str, Box], name: str, *, leaving: bool
) -> Iterator[tuple[_Wire, int]]:
    """Where the links that leave or enter a box touch it."""
    own = [wire for wire in dict.fromkeys(wires) if (wire.origin if leaving else wire.target) == name]
    own.sort(key=lambda wire: (boxes[wire.target if leaving else wire.origin].x, wire.output))
    for index, wire in enumerate(own):
        yield wire, boxes[name].x + round(WIDTH * (index + 1) / (len(own) + 1))


def _labels(kinds: Sequence[str], width: int, top: int) -> Iterator[_Label]:
    x, y = MARGIN, top
    for kind in kinds:
        room = round(text_width(kind, TEXT_SIZE)) + 34
        if x > MARGIN and x + room > width:
            x, y = MARGIN, y + LINE + 2
        yield _Label(kind=kind, x=x, y=y)
        x += room


def _opening(title: str, width: int, height: int) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" role="img"><title>{escape(title)}</title>'
        "<style>text{font:11px Helvetica,Arial,sans-serif;fill:#d5d9df}.t{font-weight:600;font-size:12px;fill:#fff}"
        ".d{fill:#8d959f}.w{fill:none;stroke-width:2}</style>"
        f'<rect width="{width}" height="{height}" rx="8" fill="#191c21"/>'
    )


def _node(words: _Words, box: Box) -> str:
    room = box.width - 2 * INSET
    title = escape(fitted(words.title, room, TITLE_SIZE * _BOLD), quote=False)
    frame = f'x="{box.x}" y="{box.y}" width="{box.width}" height="{box.height}"'
    parts = [
        f'<rect {frame} rx="6" fill="#2a2e35" stroke="#7a828d"/>',
        f'<text x="{box.x + INSET}" y="{box.y + 15}" class="t">{title}</text>',
    ]
    for index, line in enumerate(words.lines):
        y = box.y + HEAD + index * LINE + 10
        text = escape(fitted(line, room, TEXT_SIZE), quote=False)
        parts.append(f'<text x="{box.x + INSET}" y="{y}" class="d">{text}</text>')
    return "".join(parts)


def _label(label: _Label) -> str:
    dot = f'<circle cx="{label.x + 5}" cy="{label.y - 4}" r="5" fill="{type_colour(label.kind)}"/>'
    return f'{dot}<text x="{label.x + 15}" y="{label.y}">{escape(label.kind, quote=False)}</text>'
