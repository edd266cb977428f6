"""Outputs of nodes that are given by hand, in place of running them."""

from __future__ import annotations

from collections.abc import Mapping

from graphcore.errors import InputError
from graphcore.lists import Blocked, Each
from graphcore.run_graph import RunGraph
from graphcore.spec import NodeSpec


def given_outputs(graph: RunGraph, overrides: Mapping[str, object]) -> dict[int, tuple[object, ...]]:
    """The outputs that overrides give, by node; raises InputError for an unknown node, or outputs not its own."""
    given: dict[int, tuple[object, ...]] = {}
    for node_id, values in overrides.items():
        index = graph.ids.get(node_id)
        if index is None:
            raise InputError(
                f"There is no node '{node_id}' to override; name one that the workflow has.",
                code="unknown-target",
                location=node_id,
            )
        spec = graph.nodes[index].spec
        if not isinstance(values, Mapping) or set(values) != set(spec.output_index):
            names = ", ".join(spec.output_index) or "none"
            raise InputError(
                f"An override of '{node_id}' must give each of its outputs ({names}), and nothing else.",
                code="bad-override",
                location=node_id,
            )
        given[index] = _outputs(node_id, spec, values)
    return given


def _outputs(node_id: str, spec: NodeSpec, values: Mapping[str, object]) -> tuple[object, ...]:
    outputs: list[object] = []
    for output in spec.outputs:
        value, wanted = values[output.name], output.type.python
        if wanted is float and type(value) is int:
            value = float(value)
        if wanted is not None and value is not None and not isinstance(value, (wanted, Each, Blocked)):
            raise InputError(
                f"The override of '{node_id}' gives a {type(value).__name__} as '{output.name}', which is of type "
                f"{output.type}; give one of that type.",
                code="bad-override",
                location=node_id,
            )
        outputs.append(value)
    return tuple(outputs)
