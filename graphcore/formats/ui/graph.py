"""A ComfyUI UI graph in memory, whatever the age of the file that it came from.

Node and link ids are text here, since files use both numbers and text for them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

SUBGRAPH_INPUT = "-10"
SUBGRAPH_OUTPUT = "-20"


class Mode(IntEnum):
    """How a node takes part: litegraph's node modes."""

    ALWAYS = 0
    MUTED = 2
    BYPASSED = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One wire between two nodes of the same graph."""

    origin: str
    origin_slot: int
    target: str
    target_slot: int
    type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InputSlot:
    """An input socket; `widget` names the widget that it stands for, if any."""

    name: str
    type: str
    link: str | None = None
    widget: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputSlot:
    """An output socket."""

    name: str
    type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UiNode:
    """One node as it was saved.

    `values` is the file's `widgets_values` (by position), `named_values` the same by name.
    """

    id: str
    type: str
    title: str | None
    mode: int
    inputs: tuple[InputSlot, ...]
    outputs: tuple[OutputSlot, ...]
    values: tuple[object, ...] | None
    named_values: Mapping[str, object] | None
    properties: Mapping[str, object]
    pointer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """The nodes and links of one level."""

    nodes: Mapping[str, UiNode]
    links: Mapping[str, Link]


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundarySlot:
    """An input or an output of a subgraph; `links` are its wires inside."""

    name: str
    type: str
    links: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Subgraph:
    """The definition of a subgraph; nodes whose type is its id are its instances."""

    id: str
    name: str
    graph: Graph
    inputs: tuple[BoundarySlot, ...]
    outputs: tuple[BoundarySlot, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class UiGraph:
    """A whole UI file: the root level and the subgraphs that it defines."""

    root: Graph
    subgraphs: Mapping[str, Subgraph]
