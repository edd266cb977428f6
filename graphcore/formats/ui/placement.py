"""Lays a UI graph out flat: every node with its path, its merged slots and its widget values.

Instances of subgraphs are opened here. The path of an inner node is the ids of the instances around it and
its own, joined by colons.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from graphcore.errors import DocumentError
from graphcore.formats.ui.definitions import AUTOGROW, MATCH_TYPE, Definitions, NodeDefinition
from graphcore.formats.ui.graph import (
    SUBGRAPH_INPUT,
    Graph,
    InputSlot,
    Mode,
    OutputSlot,
    Subgraph,
    UiGraph,
    UiNode,
)
from graphcore.formats.ui.litegraph import Limits
from graphcore.formats.ui.virtual import SETTERS, is_virtual
from graphcore.formats.ui.widgets import Widget, is_widget, named_values, read_widgets

OWN_INPUT = "-1"


@dataclass(slots=True, kw_only=True, eq=False)
class PlacedNode:
    """One node at its place; `inside` is the opened subgraph when it is an instance that takes part."""

    path: str
    node: UiNode
    scope: Scope
    definition: NodeDefinition | None
    slots: tuple[InputSlot, ...]
    outputs: tuple[OutputSlot, ...]
    widgets: dict[str, Widget]
    subgraph: Subgraph | None = None
    inside: Scope | None = None

    @property
    def active(self) -> bool:
        """Neither muted nor bypassed."""
        return self.node.mode not in (Mode.MUTED, Mode.BYPASSED)


@dataclass(slots=True, kw_only=True, eq=False)
class Scope:
    """One level of the graph: the root, or the inside of one instance; `setters` holds its Set nodes by name."""

    graph: Graph
    instance: PlacedNode | None = None
    subgraph: Subgraph | None = None
    nodes: dict[str, PlacedNode] = field(default_factory=dict)
    setters: dict[str, PlacedNode] = field(default_factory=dict)

    def walk(self) -> Iterator[PlacedNode]:
        """Every node of this level and below, instances before what is inside them."""
        for placed in self.nodes.values():
            yield placed
            if placed.inside is not None:
                yield from placed.inside.walk()


def place(graph: UiGraph, definitions: Definitions, limits: Limits) -> Scope:
    """Open all instances that take part.

    Raises DocumentError: `recursive-subgraph`, `subgraphs-too-deep`, `too-many-nodes`.
    """
    return _Placer(graph, definitions, limits).open(graph.root, None, None, ())


@dataclass(slots=True)
class _Placer:
    ui: UiGraph
    definitions: Definitions
    limits: Limits
    placed: int = 0
    slots: int = 0

    def open(
        self, graph: Graph, instance: PlacedNode | None, subgraph: Subgraph | None, around: tuple[str, ...]
    ) -> Scope:
        scope = Scope(graph=graph, instance=instance, subgraph=subgraph)
        for node in graph.nodes.values():
            self.placed += 1
            if self.placed > self.limits.nodes:
                raise DocumentError(
                    f"The graph has more than {self.limits.nodes} nodes once its subgraphs are opened.",
                    code="too-many-nodes",
                    pointer=node.pointer,
                )
            placed = scope.nodes[node.id] = self.place_node(node, scope, around)
            name = variable_name(node)
            if node.type in SETTERS and name is not None:
                scope.setters.setdefault(name, placed)
        return scope

    def place_node(self, node: UiNode, scope: Scope, around: tuple[str, ...]) -> PlacedNode:
        subgraph = self.ui.subgraphs.get(node.type)
        definition = None if subgraph or is_virtual(node.type) else self.definitions.get(node.type)
        placed = PlacedNode(
            path=f"{scope.instance.path}:{node.id}" if scope.instance else node.id,
            node=node,
            scope=scope,
            definition=definition,
            slots=_boundary_slots(node, subgraph) if subgraph else _merged_slots(node, definition),
            outputs=_merged_outputs(node, definition),
            widgets=read_widgets(definition, node) if definition else {},
            subgraph=subgraph,
        )
        self.slots += len(placed.slots) + len(placed.outputs) + len(placed.widgets)
        if self.slots > self.limits.slots:
            raise DocumentError(
                f"The graph has more than {self.limits.slots} inputs and outputs once its subgraphs are opened.",
                code="too-many-slots",
                pointer=node.pointer,
            )
        if subgraph is not None and placed.active:
            self.refuse_nesting(node, subgraph, around)
            placed.inside = self.open(subgraph.graph, placed, subgraph, (*around, subgraph.id))
            _set_proxied_widgets(node, placed.inside)
            placed.widgets = _promoted_widgets(node, subgraph, placed.inside)
        return placed

    def refuse_nesting(self, node: UiNode, subgraph: Subgraph, around: tuple[str, ...]) -> None:
        if subgraph.id in around:
            raise DocumentError(
                f"The subgraph {subgraph.name or subgraph.id!r} contains itself.",
                code="recursive-subgraph",
                pointer=node.pointer,
            )
        if len(around) >= self.limits.depth:
            raise DocumentError(
                f"Subgraphs are nested deeper than {self.limits.depth} levels.",
                code="subgraphs-too-deep",
                pointer=node.pointer,
            )


def _merged_slots(node: UiNode, definition: NodeDefinition | None) -> tuple[InputSlot, ...]:
    """The input slots in the order of the class, sockets before widgets, then those only the file knows."""
    if definition is None:
        return node.inputs
    saved = {slot.name: slot for slot in node.inputs}
    declared = sorted(
        (spec for spec in definition.inputs if spec.type != AUTOGROW or spec.name in saved), key=is_widget
    )
    slots: list[InputSlot] = []
    for spec in declared:
        widget = spec.name if is_widget(spec) else None
        slot = saved.pop(spec.name, None)
        if slot is None:
            slots.append(InputSlot(name=spec.name, type=spec.type, widget=widget))
        elif spec.type == MATCH_TYPE:
            slots.append(slot)
        else:
            slots.append(replace(slot, type=spec.type, widget=widget or slot.widget))
    return (*slots, *saved.values())


def _merged_outputs(node: UiNode, definition: NodeDefinition | None) -> tuple[OutputSlot, ...]:
    if definition is None:
        return node.outputs
    declared = [
        node.outputs[index]
        if output.type == MATCH_TYPE and index < len(node.outputs)
        else OutputSlot(name=output.name, type=output.type)
        for index, output in enumerate(definition.outputs)
    ]
    return (*declared, *node.outputs[len(declared) :])


def _boundary_slots(node: UiNode, subgraph: Subgraph) -> tuple[InputSlot, ...]:
    """The slots of an instance in the order of its definition's inputs."""
    saved = {slot.name: slot for slot in node.inputs}
    return tuple(
        saved.get(boundary.name) or InputSlot(name=boundary.name, type=boundary.type)
        for boundary in subgraph.inputs
    )


def variable_name(node: UiNode) -> str | None:
    """The name under which a Set node offers its input and a Get node asks for it."""
    name = node.values[0] if node.values else None
    return name if isinstance(name, str) else None


def _promoted_widgets(node: UiNode, subgraph: Subgraph, inside: Scope) -> dict[str, Widget]:
    """The inner widgets that the instance shows as its own, by the name of the subgraph's input."""
    promoted: dict[str, Widget] = {}
    shown = {slot.link: (placed, slot) for placed in inside.nodes.values() for slot in placed.slots}
    for index, boundary in enumerate(subgraph.inputs):
        fed = (shown[link] for link in boundary.links if link in shown and _leaves(inside, link, index))
        widgets = (placed.widgets.get(slot.widget or slot.name) for placed, slot in fed)
        inner = next((widget for widget in widgets if widget is not None), None)
        if inner is not None:
            promoted[boundary.name] = replace(inner, name=boundary.name)
    for name, value in _instance_values(node, promoted).items():
        if value is not None:
            promoted[name] = replace(promoted[name], value=value)
    return promoted


def _leaves(inside: Scope, link_id: str, index: int) -> bool:
    """Whether a link really begins at input `index` of the subgraph."""
    link = inside.graph.links.get(link_id)
    return link is not None and link.origin == SUBGRAPH_INPUT and link.origin_slot == index


def _instance_values(node: UiNode, promoted: Mapping[str, Widget]) -> dict[str, object]:
    """The values that the instance keeps for its promoted inputs, by name."""
    proxies = node.properties.get("proxyWidgets")
    if isinstance(proxies, list) and proxies:
        names = [name if owner == OWN_INPUT else "" for owner, name in map(_proxy, proxies)]
    else:
        names = list(promoted)
    kept = dict(zip(names, node.values or (), strict=False)) | dict(named_values(node))
    return {name: value for name, value in kept.items() if name in promoted}


def _set_proxied_widgets(node: UiNode, inside: Scope) -> None:
    """Hand the values that the instance keeps for widgets of its inner nodes to these nodes."""
    proxies = node.properties.get("proxyWidgets")
    if not isinstance(proxies, list):
        return
    for (owner, name), value in zip(map(_proxy, proxies), node.values or (), strict=False):
        inner = inside.nodes.get(owner)
        if inner is not None and name in inner.widgets and value is not None:
            inner.widgets[name] = inner.widgets[name].holding(value)


def _proxy(pair: object) -> tuple[str, str]:
    """The inner node's id and its widget's name; the id is -1 for an input of the instance itself."""
    if isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str) and isinstance(pair[1], str):
        return pair[0], pair[1]
    return "", ""
