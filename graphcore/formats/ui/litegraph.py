"""Reads litegraph JSON, versions 0.4 and 1.0, into a UiGraph.

Every complaint is a DocumentError with a JSON pointer; hostile files are bounded by Limits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from graphcore.errors import DocumentError
from graphcore.formats.ui.graph import (
    BoundarySlot,
    Graph,
    InputSlot,
    Link,
    OutputSlot,
    Subgraph,
    UiGraph,
    UiNode,
)

CLASS_RENAMES: Mapping[str, str] = {
    "T2IAdapterLoader": "ControlNetLoader",
    "ConditioningAverage ": "ConditioningAverage",
    "SDV_img2vid_Conditioning": "SVD_img2vid_Conditioning",
}
ANY_TYPE = "*"
MAX_TEXT_ID = 256
MAX_NUMBER_ID = 2**63


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one UI file may hold.

    `nodes` counts the nodes of the file, and again those of the converted prompt, in which each instance of a
    subgraph counts anew; so does `slots` with inputs, outputs and saved values. `depth` is that of subgraphs.
    """

    nodes: int = 20_000
    links: int = 100_000
    slots: int = 500_000
    slots_per_node: int = 2_000
    subgraphs: int = 2_000
    depth: int = 32


def is_ui_graph(document: object) -> bool:
    """Whether a parsed JSON document looks like a UI graph rather than an API prompt."""
    return isinstance(document, Mapping) and isinstance(document.get("nodes"), list)


def read_ui_graph(document: object, *, limits: Limits | None = None) -> UiGraph:
    """Read a parsed UI file.

    Raises DocumentError: `not-a-ui-graph`, `bad-ui-graph` (a wrong type somewhere), `duplicate-node-id`,
    `too-many-nodes`, `too-many-links`, `too-many-slots`.
    """
    if not isinstance(document, Mapping) or not isinstance(document.get("nodes"), list):
        raise DocumentError(
            "The document is not a UI graph: it must be an object with a list of `nodes`.",
            code="not-a-ui-graph",
        )
    reader = _Reader(limits or Limits())
    root = reader.graph(document, "")
    definitions = document.get("definitions")
    if definitions is None:
        return UiGraph(root=root, subgraphs={})
    entries = _mapping(definitions, "/definitions").get("subgraphs") or []
    subgraphs: dict[str, Subgraph] = {}
    for index, entry in enumerate(_items(entries, "/definitions/subgraphs", reader.limits.subgraphs)):
        subgraph = reader.subgraph(entry, f"/definitions/subgraphs/{index}")
        subgraphs[subgraph.id] = subgraph
    return UiGraph(root=root, subgraphs=subgraphs)


@dataclass(slots=True)
class _Reader:
    limits: Limits
    nodes_read: int = 0
    links_read: int = 0
    slots_read: int = 0

    def graph(self, entry: Mapping[str, object], pointer: str) -> Graph:
        nodes: dict[str, UiNode] = {}
        for index, item in enumerate(_items(entry.get("nodes"), f"{pointer}/nodes", self.limits.nodes)):
            if item is None:
                continue
            node = self.node(_mapping(item, f"{pointer}/nodes/{index}"), f"{pointer}/nodes/{index}")
            if node.id in nodes:
                raise DocumentError(
                    f"Two nodes have the id {node.id}; give each node an id of its own.",
                    code="duplicate-node-id",
                    pointer=node.pointer,
                )
            nodes[node.id] = node
        return Graph(nodes=nodes, links=self.links(entry.get("links"), f"{pointer}/links"))

    def node(self, entry: Mapping[str, object], pointer: str) -> UiNode:
        self.nodes_read += 1
        if self.nodes_read > self.limits.nodes:
            raise DocumentError(
                f"The file has more than {self.limits.nodes} nodes.", code="too-many-nodes", pointer=pointer
            )
        kind = entry.get("type")
        if not isinstance(kind, str):
            raise _bad(f"{pointer}/type", "must be the name of a node class")
        values = entry.get("widgets_values")
        named = entry.get("widgets_values_named")
        if isinstance(values, Mapping):
            named, values = values, None
        mode = entry.get("mode")
        title = entry.get("title")
        properties = entry.get("properties")
        inputs = self.slots(entry.get("inputs"), f"{pointer}/inputs")
        outputs = self.slots(entry.get("outputs"), f"{pointer}/outputs")
        return UiNode(
            id=_identifier(entry.get("id"), f"{pointer}/id"),
            type=CLASS_RENAMES.get(kind, kind),
            title=title if isinstance(title, str) and title else None,
            mode=mode if isinstance(mode, int) else 0,
            inputs=tuple(_input_slot(*item) for item in inputs),
            outputs=tuple(_output_slot(item) for item, _ in outputs),
            values=None if values is None else tuple(self.items(values, f"{pointer}/widgets_values")),
            named_values=named if isinstance(named, Mapping) else None,
            properties=properties if isinstance(properties, Mapping) else {},
            pointer=pointer,
        )

    def items(self, value: object, pointer: str) -> list[object]:
        """The entries of one list of a node, which count against the total."""
        items = _items(value, pointer, self.limits.slots_per_node)
        self.slots_read += len(items)
        if self.slots_read > self.limits.slots:
            raise DocumentError(
                f"The file has more than {self.limits.slots} inputs, outputs and values.",
                code="too-many-slots",
                pointer=pointer,
            )
        return items

    def slots(self, value: object, pointer: str) -> list[tuple[Mapping[str, object], str]]:
        """The entries of a list of slots, each with its pointer."""
        places = ((item, f"{pointer}/{index}") for index, item in enumerate(self.items(value, pointer)))
        return [(_mapping(item, place), place) for item, place in places]

    def links(self, entries: object, pointer: str) -> dict[str, Link]:
        if isinstance(entries, Mapping):
            entries = list(entries.values())
        links: dict[str, Link] = {}
        for index, item in enumerate(_items(entries, pointer, self.limits.links)):
            if item is None:
                continue
            self.links_read += 1
            if self.links_read > self.limits.links:
                raise DocumentError(
                    f"The file has more than {self.limits.links} links.",
                    code="too-many-links",
                    pointer=pointer,
                )
            identity, link = _link(item, f"{pointer}/{index}")
            links[identity] = link
        return links

    def subgraph(self, item: object, pointer: str) -> Subgraph:
        entry = _mapping(item, pointer)
        name = entry.get("name")
        return Subgraph(
            id=_identifier(entry.get("id"), f"{pointer}/id"),
            name=name if isinstance(name, str) else "",
            graph=self.graph(entry, pointer),
            inputs=self.boundary(entry.get("inputs"), f"{pointer}/inputs"),
            outputs=self.boundary(entry.get("outputs"), f"{pointer}/outputs"),
        )

    def boundary(self, value: object, pointer: str) -> tuple[BoundarySlot, ...]:
        """The inputs or the outputs of a subgraph."""
        return tuple(
            BoundarySlot(
                name=_text(entry.get("name")),
                type=_type_name(entry.get("type")),
                links=tuple(
                    _identifier(link, f"{place}/linkIds")
                    for link in self.items(entry.get("linkIds"), f"{place}/linkIds")
                ),
            )
            for entry, place in self.slots(value, pointer)
        )


def _input_slot(entry: Mapping[str, object], pointer: str) -> InputSlot:
    widget = entry.get("widget")
    name = widget.get("name") if isinstance(widget, Mapping) else None
    link = entry.get("link")
    return InputSlot(
        name=_text(entry.get("name")),
        type=_type_name(entry.get("type")),
        link=None if link is None else _identifier(link, f"{pointer}/link"),
        widget=name if isinstance(name, str) else None,
    )


def _output_slot(entry: Mapping[str, object]) -> OutputSlot:
    return OutputSlot(name=_text(entry.get("name")), type=_type_name(entry.get("type")))


def _link(item: object, pointer: str) -> tuple[str, Link]:
    if isinstance(item, Mapping):
        names = ("id", "origin_id", "origin_slot", "target_id", "target_slot", "type")
        parts = [item.get(name) for name in names]
    elif isinstance(item, list) and len(item) >= 5:
        parts = [*item[:6], None][:6]
    else:
        raise _bad(pointer, "must be a list of 6 parts or an object")
    return _identifier(parts[0], pointer), Link(
        origin=_identifier(parts[1], pointer),
        origin_slot=_slot_index(parts[2], pointer),
        target=_identifier(parts[3], pointer),
        target_slot=_slot_index(parts[4], pointer),
        type=_type_name(parts[5]),
    )


def _identifier(value: object, pointer: str) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < MAX_NUMBER_ID:
        return str(value)
    if isinstance(value, str) and 0 < len(value) <= MAX_TEXT_ID:
        return value
    raise _bad(pointer, f"must be an id: a whole number, or text of at most {MAX_TEXT_ID} characters")


def _slot_index(value: object, pointer: str) -> int:
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 6:
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise _bad(pointer, "must have whole numbers for its slots")


def _type_name(value: object) -> str:
    if isinstance(value, list):
        return "COMBO"
    return value if isinstance(value, str) else ANY_TYPE


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _mapping(value: object, pointer: str) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise _bad(pointer, "must be an object")
    return value


def _items(value: object, pointer: str, most: int) -> list[object]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise _bad(pointer, "must be a list")
    if len(value) > most:
        raise _bad(pointer, f"must have at most {most} entries")
    return value


def _bad(pointer: str, what: str) -> DocumentError:
    return DocumentError(f"{pointer or 'The document'} {what}.", code="bad-ui-graph", pointer=pointer)
