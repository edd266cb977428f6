"""What a run leaves to its caller: results by name, handed out so that kept ones cannot be harmed."""

from __future__ import annotations

import copy
from typing import Final

from graphcore.errors import GraphcoreError
from graphcore.events import RunState
from graphcore.journal import Journal
from graphcore.lists import Blocked
from graphcore.results import RunResult
from graphcore.run_graph import RunGraph

_IMMUTABLE: Final = (int, float, bool, str, bytes, type(None))


def conclude(
    run_id: str,
    graph: RunGraph,
    journal: Journal,
    *,
    state: RunState,
    error: GraphcoreError | None,
    seconds: float,
) -> RunResult:
    """The result of a run that has ended, with what was reached if it failed."""
    held = {index: graph.ledger.outputs[index] for index in graph.checked.targets}
    owned = {
        index: tuple(value if isinstance(value, Blocked) else handed_out(value) for value in values)
        for index, values in held.items()
        if values is not None
    }
    nodes: dict[str, dict[str, object]] = {}
    for index, values in owned.items():
        named = zip(graph.nodes[index].spec.outputs, values, strict=True)
        nodes[graph.nodes[index].id] = {
            spec.name: value for spec, value in named if not isinstance(value, Blocked)
        }
    outputs: dict[str, object] = {}
    for name, place in graph.checked.outputs.items():
        if place.node in owned and not isinstance(owned[place.node][place.output], Blocked):
            outputs[name] = owned[place.node][place.output]
    return RunResult(
        run_id=run_id,
        state=state,
        outputs=outputs,
        nodes=nodes,
        shown=journal.shown,
        errors=journal.errors,
        error=error,
        seconds=seconds,
        reports=tuple(journal.reports),
    )


def handed_out(value: object) -> object:
    """A value for code that is not ours: a copy, so that changing it changes nothing that is kept.

    What cannot be copied is handed out as it is.
    """
    if isinstance(value, _IMMUTABLE):
        return value
    try:
        return copy.deepcopy(value)
    except Exception:  # noqa: BLE001 - values are anybody's, and so is what their copying raises
        return value
