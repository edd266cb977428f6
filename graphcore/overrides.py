"""Outputs of nodes that are given by hand: the nodes are not run, and what depends on them is keyed anew."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from graphcore.errors import InputError
from graphcore.lists import Blocked, Each
from graphcore.spec import NodeSpec

if TYPE_CHECKING:
    from graphcore.executor import Run


def apply_overrides(run: Run) -> None:
    """Put the overrides of a run in place; raises InputError for an unknown node, or outputs that are not its own."""
    overrides: Mapping[str, object] = run.options.overrides or {}
    for node_id, values in overrides.items():
        index = run.ids.get(node_id)
        if index is None:
            raise InputError(
                f"There is no node '{node_id}' to override; name one that the workflow has.",
                code="unknown-target",
                location=node_id,
            )
        spec = run.nodes[index].spec
        if not isinstance(values, Mapping) or set(values) != set(spec.output_index):
            names = ", ".join(spec.output_index) or "none"
            raise InputError(
                f"An override of '{node_id}' must give each of its outputs ({names}), and nothing else.",
                code="bad-override",
                location=node_id,
            )
        run.ledger.readers[index] += 1
        run.ledger.done(index, _outputs(node_id, spec, values))
    if overrides:
        _rekey(run, {run.ids[node_id] for node_id in overrides})


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


def _rekey(run: Run, changed: set[int]) -> None:
    for index, node in enumerate(run.nodes):
        if index in changed:
            run.keys.override(index, run.ledger.outputs[index])
        elif any(link.source in changed for link in node.links):
            changed.add(index)
            if run.keys.keys[index] is not None:
                run.keys.refresh(index)
