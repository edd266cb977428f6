"""Puts a sub-graph in a node's place: validated, keyed from the node's own key, and joined to the run."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from graphcore.checked import CheckedGraph, OutputPlace
from graphcore.errors import InputError, ValidationError
from graphcore.keys import Key, encode
from graphcore.limits import Limits
from graphcore.lists import Constant, Each, Expand
from graphcore.run_options import RunHouse
from graphcore.validation import check_workflow
from graphcore.validation_pass import OuterNode
from graphcore.workflow import Link, NodeEntry, Workflow

if TYPE_CHECKING:
    from graphcore.run_graph import RunGraph


Place = OutputPlace | Constant


@dataclass(frozen=True, slots=True)
class Expansion:
    """The nodes that took a node's place, and where its outputs come from: a place in the run, or a value."""

    ids: tuple[str, ...]
    places: tuple[Place | tuple[Place, ...], ...]
    targets: tuple[int, ...]

    def sources(self) -> list[int]:
        """The nodes that the outputs come from."""
        flat = [item for place in self.places for item in (place if isinstance(place, tuple) else (place,))]
        return [place.node for place in flat if isinstance(place, OutputPlace)]

    def outputs(self, held: Sequence[tuple[object, ...] | None]) -> tuple[object, ...]:
        """The node's outputs, now that the sub-graph's are there."""
        return tuple(
            Each(_flattened(_value(item, held) for item in place))
            if isinstance(place, tuple)
            else _value(place, held)
            for place in self.places
        )


def _value(place: Place, held: Sequence[tuple[object, ...] | None]) -> object:
    if isinstance(place, Constant):
        return place.value
    source = held[place.node]
    assert source is not None
    return source[place.output]


def _flattened(values: Iterable[object]) -> Iterator[object]:
    for value in values:
        if isinstance(value, Each):
            yield from value.items
        else:
            yield value


class Growth:
    """How a run has grown: which node each added one came from, how deep, and whether the budget allows more."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._parents: dict[int, int] = {}
        self._depth: dict[int, int] = {}
        self._expanded = 0

    def allow(self, index: int, expand: Expand) -> None:
        """Count an expansion of node `index`; raises InputError if it is beyond the budget."""
        limits = self._limits
        depth = self._depth.get(index, 0) + 1
        self._expanded += len(expand.workflow.nodes)
        if depth > limits.expansion_depth or self._expanded > limits.expanded_nodes:
            what = "depth" if depth > limits.expansion_depth else "number of nodes"
            bound = limits.expansion_depth if depth > limits.expansion_depth else limits.expanded_nodes
            raise InputError(
                f"The node expands beyond the budget: the {what} is limited to {bound}; end the loop sooner.",
                code="expansion-budget",
            )

    def note(self, index: int, added: Iterable[int]) -> None:
        """Node `index` has grown into these nodes."""
        depth = self._depth.get(index, 0) + 1
        for place in added:
            self._depth[place] = depth
            self._parents[place] = index

    def parent(self, index: int) -> int | None:
        """The node that this one was expanded from, if any."""
        return self._parents.get(index)

    def within_itself(self, index: int, key: Key, keys: Sequence[Key | None]) -> bool:
        """True if a node around `index` has the same key."""
        outer = self._parents.get(index)
        while outer is not None:
            if keys[outer] == key:
                return True
            outer = self._parents.get(outer)
        return False


def grow(run: RunGraph, house: RunHouse, index: int, expand: Expand, key: Key) -> Expansion:
    """Check a sub-graph and append its nodes to the run; raises InputError if it is not valid."""
    parent = run.nodes[index]
    if expand.own_ids and (known := expand.workflow.nodes.keys() & run.ids.keys()):
        raise InputError(
            f"{parent.spec.name} expanded into a node with the id '{min(known)}', which another node has; name the "
            "nodes with GraphBuilder.",
            code="bad-expansion",
        )
    outer = {
        node_id: OuterNode(place, run.nodes[place].spec) for node_id, place in _outer_ids(run, expand).items()
    }
    workflow = _keyed(expand.workflow, key)
    try:
        graph = check_workflow(
            workflow, house.registry, files=house.services.files, limits=house.limits, outer=outer
        )
    except ValidationError as error:
        if any(problem.code == "cycle" for problem in error.problems):
            raise InputError(
                f"{parent.spec.name} expanded into nodes that feed each other in a circle: {error.message}",
                code="cyclic-expansion",
            ) from error
        raise InputError(
            f"{parent.spec.name} expanded into a graph that is not valid: {error.message}",
            code="bad-expansion",
        ) from error
    offset = len(run.nodes)
    places = tuple(_place(run, output.name, expand, offset, graph) for output in parent.spec.outputs)
    for place, node in enumerate(graph.nodes):
        for link in node.links:
            link.source = link.source + offset if link.source >= 0 else -1 - link.source
            if (link.source < offset and run.keys.keys[link.source] is None) or (
                link.source >= offset and graph.nodes[link.source - offset].late
            ):
                node.late = True
        if not expand.own_ids:
            node.id = f"{parent.id}:{node.id}"
        run.ids[node.id] = offset + place
    run.nodes.extend(graph.nodes)
    ids = tuple([node.id for node in graph.nodes])
    targets = tuple(offset + target for target in graph.targets if graph.nodes[target].spec.output)
    return Expansion(ids, places, targets)


def _outer_ids(run: RunGraph, expand: Expand) -> dict[str, int]:
    """The ids outside the sub-graph that its links name."""
    inside = expand.workflow.nodes
    found: dict[str, int] = {}
    for entry in inside.values():
        for value in entry.inputs.values():
            for item in value if isinstance(value, list) else (value,):
                if isinstance(item, Link) and item.node not in inside and item.node in run.ids:
                    found[item.node] = run.ids[item.node]
    return found


def _keyed(workflow: Workflow, key: Key) -> Workflow:
    """The sub-graph with its run-time values keyed by what they came from."""
    nodes: dict[str, NodeEntry] = {}
    for node_id, entry in workflow.nodes.items():
        inputs = {
            name: _keyed_value(value, key, node_id, name) if isinstance(value, Constant) else value
            for name, value in entry.inputs.items()
        }
        nodes[node_id] = replace(entry, inputs=inputs)
    return replace(workflow, nodes=nodes)


def _keyed_value(value: Constant, key: Key, node_id: str, name: str) -> object:
    if value.key:
        return value
    try:
        inner = b"v" + encode(value.value)
    except TypeError:
        inner = b"d" + key + encode(node_id) + encode(name)
    return Constant(value.value, hashlib.sha256(inner).digest())


def _place(
    run: RunGraph, name: str, expand: Expand, offset: int, graph: CheckedGraph
) -> Place | tuple[Place, ...]:
    if name not in expand.outputs:
        raise InputError(
            f"The expansion gives no output '{name}'; name a link or a value for it.", code="bad-expansion"
        )
    value = expand.outputs[name]
    if isinstance(value, Each):
        return tuple(_single_place(run, name, item, offset, graph) for item in value.items)
    return _single_place(run, name, value, offset, graph)


def _single_place(run: RunGraph, name: str, value: object, offset: int, graph: CheckedGraph) -> Place:
    if isinstance(value, Constant):
        return value
    if not isinstance(value, Link):
        return Constant(value)
    inside = graph.index.get(value.node)
    outside = run.ids.get(value.node)
    if inside is not None:
        place, spec = offset + inside, graph.nodes[inside].spec
    elif outside is not None:
        place, spec = outside, run.nodes[outside].spec
    else:
        raise InputError(
            f"The expansion's output '{name}' is linked to '{value.node}', which does not exist.",
            code="bad-expansion",
        )
    output = value.output if isinstance(value.output, int) else spec.output_index.get(value.output, -1)
    if not 0 <= output < len(spec.outputs):
        raise InputError(
            f"The expansion's output '{name}' is linked to an output that {spec.name} does not have.",
            code="bad-expansion",
        )
    return OutputPlace(place, output)
