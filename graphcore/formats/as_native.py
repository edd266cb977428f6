"""Turns a workflow of any dialect into a native one: own type names, outputs by name, values converted."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from graphcore.checked import CheckedGraph, CheckedLink, CheckedNode
from graphcore.registry import Registry
from graphcore.validation import check_workflow
from graphcore.workflow import Dialect, InputTarget, Link, NodeEntry, Workflow, WorkflowInput

_MAX_ID: Final = 64
_NOT_IN_IDS: Final = re.compile(r"[^A-Za-z0-9_-]")


def as_native(workflow: Workflow, registry: Registry) -> Workflow:
    """The same workflow under native rules, with the same keys; model files need not be there.

    Inputs that a node does not declare are left out, ids that are no native ids are changed. Raises ValidationError
    with every problem if the workflow is not valid.
    """
    graph = checked_as_written(workflow, registry)
    ids = native_ids(workflow.nodes)
    nodes = {
        ids[node_id]: _entry(graph, graph.nodes[graph.index[node_id]], ids) for node_id in workflow.nodes
    }
    return replace(
        workflow,
        nodes=nodes,
        inputs={name: _renamed(declared, ids) for name, declared in workflow.inputs.items()},
        outputs={
            name: link_to(graph, place.node, place.output, ids) for name, place in graph.outputs.items()
        },
        dialect=Dialect.NATIVE,
    )


def checked_as_written(workflow: Workflow, registry: Registry) -> CheckedGraph:
    """The workflow checked, though not against the files that are here; raises ValidationError."""
    return check_workflow(workflow, registry, files=None, targets=list(workflow.nodes))


def given_inputs(graph: CheckedGraph, node: CheckedNode) -> Mapping[str, object]:
    """The inputs that the document gives to a node, converted; a link is a CheckedLink, alone or in a list."""
    given: dict[str, object] = {}
    links: dict[str, list[CheckedLink]] = {}
    for link in node.links:
        links.setdefault(link.input, []).append(link)
    for name in graph.workflow.nodes[node.id].inputs:
        if name not in links:
            if name in node.arguments:
                given[name] = node.arguments[name]
            continue
        if links[name][0].position < 0:
            given[name] = links[name][0]
            continue
        items = node.arguments.get(name)
        places = list(items) if isinstance(items, list) else []
        for link in links[name]:
            places[link.position] = link
        given[name] = places
    return given


def link_to(graph: CheckedGraph, source: int, output: int, ids: Mapping[str, str]) -> Link:
    """A link to an output, by name where the node has several."""
    node = graph.nodes[source]
    return Link(ids[node.id], 0 if len(node.spec.outputs) == 1 else node.spec.outputs[output].name)


def native_ids(given: Iterable[str]) -> dict[str, str]:
    """A valid native id for each id: itself where it is one."""
    ids: dict[str, str] = {}
    taken = {name for name in given if not _NOT_IN_IDS.search(name) and len(name) <= _MAX_ID}
    for name in given:
        if name in taken:
            ids[name] = name
            continue
        base = _NOT_IN_IDS.sub("_", name)[: _MAX_ID - 6] or "node"
        made, number = base, 2
        while made in taken:
            made, number = f"{base}_{number}", number + 1
        taken.add(made)
        ids[name] = made
    return ids


def _entry(graph: CheckedGraph, node: CheckedNode, ids: Mapping[str, str]) -> NodeEntry:
    def written(value: object) -> object:
        if isinstance(value, CheckedLink):
            return link_to(graph, value.source, value.output, ids)
        return [written(item) for item in value] if isinstance(value, list) else value

    inputs = {name: written(value) for name, value in given_inputs(graph, node).items()}
    return NodeEntry(type=node.spec.name, inputs=inputs, title=graph.workflow.nodes[node.id].title)


def _renamed(declared: WorkflowInput, ids: Mapping[str, str]) -> WorkflowInput:
    targets = tuple(InputTarget(ids[target.node], target.input) for target in declared.targets)
    return replace(declared, targets=targets)
