"""Follows a wire upwards, from the input that consumes it to the node that really produces the value.

On the way it passes reroutes, Get/Set pairs, bypassed nodes and the borders of subgraphs.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from graphcore.errors import DocumentError
from graphcore.formats.ui.graph import SUBGRAPH_INPUT, SUBGRAPH_OUTPUT, Link, Mode, UiNode
from graphcore.formats.ui.litegraph import ANY_TYPE
from graphcore.formats.ui.placement import PlacedNode, Scope, variable_name
from graphcore.formats.ui.virtual import GETTERS, PRIMITIVE, REROUTES, SETTERS, is_virtual


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """An output of a node that is written."""

    node: str
    slot: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Constant:
    """The value of a widget that an instance of a subgraph shows as its own."""

    value: object


@dataclass(frozen=True, slots=True, kw_only=True)
class _Output:
    """An output on the way up, and the type that the input below it takes."""

    placed: PlacedNode
    slot: int
    wanted: str


@dataclass(frozen=True, slots=True)
class Resolver:
    """Follows the wires of one graph, each stretch of wire once."""

    known: dict[tuple[str, int, str], Source | Constant | None] = field(default_factory=dict)

    def resolve(self, placed: PlacedNode, index: int) -> Source | Constant | None:
        """What feeds input slot `index`; None when nothing does.

        Raises DocumentError: `link-cycle`, `dangling-link`, `unmatched-get-node`.
        """
        passed: dict[tuple[str, int, str], None] = {}
        step: _Output | Source | Constant | None = _above_input(placed, index)
        while isinstance(step, _Output):
            here = (step.placed.path, step.slot, step.wanted)
            if here in passed:
                raise DocumentError(
                    f"The link into node {placed.path} runs in a circle through node {step.placed.path}.",
                    code="link-cycle",
                    pointer=placed.node.pointer,
                )
            passed[here] = None
            step = self.known[here] if here in self.known else _above_output(step)
        self.known.update(dict.fromkeys(passed, step))
        return step


def _above_input(placed: PlacedNode, index: int) -> _Output | Constant | None:
    slot = placed.slots[index]
    if slot.link is None:
        return None
    return _follow(placed, slot.link, slot.type)


def _above_output(output: _Output) -> _Output | Source | Constant | None:
    placed = output.placed
    if placed.node.mode == Mode.MUTED:
        return None
    if placed.node.mode == Mode.BYPASSED:
        index = bypass_input(placed, output.slot, output.wanted)
        return None if index is None else _above_input(placed, index)
    if is_virtual(placed.node.type):
        return _through(placed, output.wanted)
    if placed.inside is not None:
        return _into_subgraph(placed.inside, output)
    return Source(node=placed.path, slot=output.slot)


def _through(placed: PlacedNode, wanted: str) -> _Output | Constant | None:
    """Past a node of the editor: a reroute or Set node passes its input on, a Get node that of its Set node."""
    kind = placed.node.type
    if kind in GETTERS:
        placed = _setter_of(placed)
    elif kind not in REROUTES and kind not in SETTERS:
        return None
    link = placed.slots[0].link if placed.slots else None
    return None if link is None else _follow(placed, link, wanted)


def _into_subgraph(inside: Scope, output: _Output) -> _Output | Constant | None:
    boundary = inside.subgraph.outputs if inside.subgraph else ()
    known = boundary[output.slot].links if 0 <= output.slot < len(boundary) else ()
    for link_id in known or tuple(inside.graph.links):
        link = inside.graph.links.get(link_id)
        if link and link.target == SUBGRAPH_OUTPUT and link.target_slot == output.slot:
            return _across(inside, link, output.wanted, output.placed.node)
    return None


def _follow(placed: PlacedNode, link_id: str, wanted: str) -> _Output | Constant | None:
    link = placed.scope.graph.links.get(link_id)
    if link is None:
        raise _dangling(placed.node, f"uses link {link_id}, which the file does not hold")
    return _across(placed.scope, link, wanted, placed.node)


def _across(scope: Scope, link: Link, wanted: str, below: UiNode) -> _Output | Constant | None:
    """From a link to the output at its upper end, out of the subgraph where it comes from there."""
    if link.origin == SUBGRAPH_INPUT and scope.instance is not None and scope.subgraph is not None:
        instance = scope.instance
        if not 0 <= link.origin_slot < len(instance.slots):
            raise _dangling(below, f"is linked to input {link.origin_slot} of its subgraph, which has none")
        if _is_wired(instance, link.origin_slot):
            return _above_input(instance, link.origin_slot)
        widget = instance.widgets.get(scope.subgraph.inputs[link.origin_slot].name)
        return None if widget is None else Constant(value=widget.value)
    origin = scope.nodes.get(link.origin)
    if origin is None:
        raise _dangling(below, f"is linked to node {link.origin}, which the file does not hold")
    return _Output(placed=origin, slot=link.origin_slot, wanted=wanted)


def _is_wired(instance: PlacedNode, index: int) -> bool:
    """Whether an input of an instance takes a link; one from a primitive node has set its widget instead."""
    link_id = instance.slots[index].link
    link = instance.scope.graph.links.get(link_id) if link_id is not None else None
    origin = instance.scope.nodes.get(link.origin) if link is not None else None
    return link_id is not None and (origin is None or origin.node.type != PRIMITIVE)


def _setter_of(getter: PlacedNode) -> PlacedNode:
    """The Set node with the name that this Get node asks for, on its own level or one around it."""
    name = variable_name(getter.node)
    scope: Scope | None = getter.scope
    while scope is not None:
        if name is not None and name in scope.setters:
            return scope.setters[name]
        scope = scope.instance.scope if scope.instance else None
    raise DocumentError(
        f"Node {getter.path} gets the value {name!r}, but no Set node of that name exists; add one.",
        code="unmatched-get-node",
        pointer=getter.node.pointer,
    )


def bypass_input(placed: PlacedNode, slot: int, wanted: str) -> int | None:
    """The input that a bypassed node passes on as its output `slot` to an input that takes `wanted`."""
    inputs = placed.slots
    if wanted in (ANY_TYPE, ""):
        if not inputs:
            return None
        return slot if 0 <= slot < len(inputs) else 0
    produced = placed.outputs[slot].type if 0 <= slot < len(placed.outputs) else ANY_TYPE
    fitting = [
        index
        for index, candidate in enumerate(inputs)
        if types_fit(candidate.type, produced) and types_fit(candidate.type, wanted)
    ]
    if slot in fitting:
        return slot
    exact = [index for index, candidate in enumerate(inputs) if candidate.type == wanted]
    return next(iter([*exact, *fitting]), None)


def types_fit(first: str, second: str) -> bool:
    """Whether two socket types may be wired: equal, a wildcard, or comma lists with a member in common."""
    if first in (ANY_TYPE, "") or second in (ANY_TYPE, ""):
        return True
    return not set(first.lower().split(",")).isdisjoint(second.lower().split(","))


def _dangling(node: UiNode, what: str) -> DocumentError:
    return DocumentError(f"Node {node.id} {what}.", code="dangling-link", pointer=node.pointer)
