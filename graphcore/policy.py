"""Policies on graphs, decided before anything runs: does every picture that leaves a graph pass a safety filter?

The question is one of dominators. Take the links that carry pictures, join all safety filters into one vertex, and let
a root feed every node that makes a picture from something else (a decoder, a loader, a model that repaints). A node
that keeps pictures is safe when the filter dominates it: no path from the root reaches it otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from graphcore.checked import CheckedGraph, CheckedNode
from graphcore.errors import Problem
from graphcore.pointers import pointer
from graphcore.sockets import SocketType
from graphcore.workflow import Dialect

SAFETY_FILTER: Final = "SafetyFilter"
_PICTURES: Final = frozenset({"IMAGE", "MASK", "VIDEO", "*"})
_PLAIN: Final = frozenset({"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"})
_ROOT: Final = -1
_FILTER: Final = -2


def is_safety_filter(node: CheckedNode) -> bool:
    """True for a SafetyFilter that keeps back what it flags, and whose settings are values that do not weaken it."""
    if SAFETY_FILTER not in (node.spec.name, *node.spec.aliases):
        return False
    if any(link.input in ("action", "sensitivity") for link in node.links):
        return False
    sensitivity = node.arguments.get("sensitivity", 0.0)
    strict = isinstance(sensitivity, (int, float)) and sensitivity >= 0
    return strict and node.arguments.get("action", "block") in ("block", "blur")


def unfiltered_pictures(
    graph: CheckedGraph, is_filter: Callable[[CheckedNode], bool] = is_safety_filter
) -> list[Problem]:
    """A problem for each node, and each declared output, through which a picture could leave unfiltered."""
    from networkx import DiGraph, immediate_dominators

    sinks = {
        index for index, node in enumerate(graph.nodes) if node.spec.output and _takes_pictures(graph, node)
    }
    sinks |= {
        place.node
        for place in graph.outputs.values()
        if _carries(_output_type(graph, place.node, place.output))
    }
    sinks |= {index for index in graph.targets if _gives_pictures(graph, index)}
    if not sinks:
        return []
    filters = {index for index, node in enumerate(graph.nodes) if is_filter(node)}
    flow = DiGraph()
    flow.add_nodes_from([_ROOT, _FILTER])
    for index, node in enumerate(graph.nodes):
        vertex = _FILTER if index in filters else index
        pictures = [
            link.source for link in node.links if _carries(_output_type(graph, link.source, link.output))
        ]
        for source in pictures:
            flow.add_edge(_FILTER if source in filters else source, vertex)
        if vertex == _FILTER or not pictures or _repaints(graph, node):
            flow.add_edge(_ROOT, vertex)
    dominators = immediate_dominators(flow, _ROOT)
    return [
        _problem(graph, index)
        for index in sorted(sinks - filters)
        if _makes_or_passes(graph, index) and not _dominated(dominators, index)
    ]


def _dominated(dominators: dict[int, int], vertex: int) -> bool:
    while vertex in dominators and dominators[vertex] not in (vertex, None):
        vertex = dominators[vertex]
        if vertex == _FILTER:
            return True
    return vertex == _FILTER


def _makes_or_passes(graph: CheckedGraph, index: int) -> bool:
    node = graph.nodes[index]
    return _takes_pictures(graph, node) or _gives_pictures(graph, index)


def _takes_pictures(graph: CheckedGraph, node: CheckedNode) -> bool:
    return any(_carries(_output_type(graph, link.source, link.output)) for link in node.links)


def _gives_pictures(graph: CheckedGraph, index: int) -> bool:
    return any(
        _carries(_output_type(graph, index, place)) for place in range(len(graph.nodes[index].spec.outputs))
    )


def _repaints(graph: CheckedGraph, node: CheckedNode) -> bool:
    """True if something other than pictures and plain values feeds the node: what it gives may show anything."""
    for link in node.links:
        kind = _output_type(graph, link.source, link.output)
        if not _carries(kind) and kind.name not in _PLAIN:
            return True
    return False


def _output_type(graph: CheckedGraph, index: int, output: int) -> SocketType:
    found = graph.types.get(index)
    return found[output] if found is not None else graph.nodes[index].spec.outputs[output].type


def _carries(kind: SocketType) -> bool:
    return any(name.strip() in _PICTURES for name in kind.name.split(","))


def _problem(graph: CheckedGraph, index: int) -> Problem:
    node = graph.nodes[index]
    prefix = ("nodes",) if graph.dialect is Dialect.NATIVE else ()
    return Problem(
        code="unfiltered-picture",
        message=f"A picture reaches '{node.id}' without passing a SafetyFilter; put one before it.",
        node=node.id,
        pointer=pointer(*prefix, node.id),
        expected="a SafetyFilter on every way",
    )
