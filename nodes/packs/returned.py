"""Makes sense of what a pack's node returns: values, things to show, blockers, graphs to run in its place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from graphcore.context import Context
from graphcore.errors import InputError
from graphcore.lists import Blocked, Constant, Each, Expand
from graphcore.registry import Registry
from graphcore.spec import NodeSpec, OutputSpec
from graphcore.workflow import Dialect, Link, NodeEntry, Workflow
from nodes.packs.dynamic_prompt import RunState
from nodes.packs.exchange import from_comfy

_BLOCKER: Final = "ExecutionBlocker"
_NUMBERS: Final = frozenset({"INT", "FLOAT", "BOOLEAN", "STRING"})
_PLAIN: Final = (str, int, float, bool, type(None))


@dataclass(frozen=True, slots=True, kw_only=True)
class Returned:
    """What one call gave: its outputs, and the graph that they may be linked into."""

    outputs: tuple[Any, ...]
    graph: Mapping[str, Any] | None = None


def blocker_of(value: object) -> Blocked | None:
    """A value as a blocker, if it is one."""
    if isinstance(value, Blocked):
        return value
    if type(value).__name__ == _BLOCKER:
        return Blocked(getattr(value, "message", None))
    return None


def is_link(value: object) -> bool:
    """True for what a prompt writes for a link: a list of a node id and an output's index."""
    return (
        isinstance(value, list)
        and len(value) == 2
        and isinstance(value[0], str)
        and isinstance(value[1], (int, float))
    )


def outcome_of(
    results: Sequence[Any], spec: NodeSpec, context: Context, state: RunState
) -> tuple[object, ...] | Expand:
    """The node's outputs, or what it expands into; what is to be shown is shown."""
    shown: list[Mapping[str, Any]] = []
    rows = [row for result in results if (row := _read(result, spec, shown)) is not None]
    _show(shown, context)
    if any(row.graph is not None for row in rows):
        return _expansion(rows, spec, context, state)
    return tuple(_column(rows, place, output) for place, output in enumerate(spec.outputs))


def _read(result: Any, spec: NodeSpec, shown: list[Mapping[str, Any]]) -> Returned | None:
    """One call's result; None if it has no outputs to speak of."""
    count = len(spec.outputs)
    blocked = blocker_of(result)
    if blocked is not None:
        return Returned(outputs=(blocked,) * count)
    if hasattr(result, "block_execution") and hasattr(result, "expand"):
        result = _from_node_output(result, count)
    if isinstance(result, dict):
        ui = result.get("ui")
        if ui:
            shown.append(ui)
        if "expand" not in result and "result" not in result:
            return None
        return Returned(outputs=_outputs(result.get("result"), spec), graph=result.get("expand"))
    return Returned(outputs=_outputs(result, spec))


def _from_node_output(output: Any, count: int) -> dict[str, Any]:
    """A V3 node's NodeOutput in the terms of V1."""
    found: dict[str, Any] = {}
    if output.ui is not None:
        found["ui"] = output.ui if isinstance(output.ui, dict) else output.ui.as_dict()
    result = output.result
    if output.block_execution is not None:
        result = (Blocked(output.block_execution),) * count
    if output.expand is not None:
        found["expand"] = output.expand
    if result is not None or output.expand is not None:
        found["result"] = result
    return found


def _outputs(result: Any, spec: NodeSpec) -> tuple[Any, ...]:
    blocked = blocker_of(result)
    if blocked is not None:
        return (blocked,) * len(spec.outputs)
    if result is None:
        if spec.outputs:
            raise InputError(
                f"{spec.name} returned nothing, and it declares {len(spec.outputs)} outputs.",
                code="bad-output",
            )
        return ()
    try:
        return tuple(result[place] for place in range(min(len(result), len(spec.outputs))))
    except (TypeError, KeyError, IndexError):
        raise InputError(
            f"{spec.name} returned a {type(result).__name__}, which is no tuple of its outputs.",
            code="bad-output",
        ) from None


def _items(row: Returned, place: int, output: OutputSpec) -> Iterator[Any]:
    """What one call adds to an output: an item, or several for an output that is a list."""
    value = row.outputs[place] if place < len(row.outputs) else None
    if not output.each or blocker_of(value) is not None or (row.graph is not None and is_link(value)):
        yield value
    elif value is not None:
        yield from value


def _column(rows: Sequence[Returned], place: int, output: OutputSpec) -> object:
    items = [_engine_value(item, output) for row in rows for item in _items(row, place, output)]
    if output.each or len(items) > 1:
        return Each(items)
    return items[0] if items else None


def _engine_value(value: Any, output: OutputSpec) -> object:
    blocked = blocker_of(value)
    if blocked is not None:
        return blocked
    if output.type.name in _NUMBERS and getattr(value, "shape", None) == ():
        value = value.item()
    return from_comfy(output.type.name, value)


def _show(uis: Sequence[Mapping[str, Any]], context: Context) -> None:
    """Show what the calls show, gathered by kind."""
    for kind in uis[0] if uis else ():
        items = [item for ui in uis for item in ui[kind]]
        if not items:
            context.show(kind, {})
        for item in items:
            context.show(kind, _shown_item(kind, item))


def _shown_item(kind: str, item: Any) -> Mapping[str, Any]:
    if kind == "text" and isinstance(item, str):
        return {"text": item}
    telling = isinstance(item, dict) and len(item) > 1 and "kind" not in item
    return item if telling else {"value": item}


def _expansion(rows: Sequence[Returned], spec: NodeSpec, context: Context, state: RunState) -> Expand:
    """The graphs of all calls as one, and the outputs linked into it."""
    assert context.registry is not None
    entries: dict[str, NodeEntry] = {}
    stands_for: dict[str, str] = {}
    for row in rows:
        for node_id, node in (row.graph or {}).items():
            if node_id in entries or state.prompt.has_node(node_id):
                raise DuplicateNodeError(
                    f"Attempt to add duplicate node {node_id}. Ensure node ids are unique and deterministic or use "
                    "graph_utils.GraphBuilder."
                )
            entries[node_id] = _entry(node, context.registry)
            shown_as = node.get("override_display_id")
            if shown_as is not None:
                stands_for[node_id] = str(shown_as)
    for row in rows:
        for node_id, node in (row.graph or {}).items():
            shown_as = stands_for.get(node_id, context.node_id)
            state.prompt.add_ephemeral_node(node_id, node, context.node_id, shown_as)
    outputs = {output.name: _place(rows, place, output) for place, output in enumerate(spec.outputs)}
    return Expand(
        Workflow(nodes=entries, dialect=Dialect.COMFY), outputs, own_ids=True, stands_for=stands_for
    )


class DuplicateNodeError(Exception):
    """An expansion names a node as another one is named."""


def _entry(node: Mapping[str, Any], registry: Registry) -> NodeEntry:
    kind = node["class_type"]
    spec = registry.get(kind)
    inputs: dict[str, object] = {}
    for name, value in (node.get("inputs") or {}).items():
        if is_link(value):
            inputs[name] = Link(value[0], int(value[1]))
        elif spec is not None and spec.foreign is None and isinstance(value, _PLAIN):
            inputs[name] = value
        else:
            declared = spec.input(name) if spec is not None else None
            inputs[name] = Constant(from_comfy(declared.type.name if declared is not None else "*", value))
    return NodeEntry(type=kind, inputs=inputs)


def _place(rows: Sequence[Returned], place: int, output: OutputSpec) -> object:
    items: list[object] = []
    for row in rows:
        for item in _items(row, place, output):
            if row.graph is not None and is_link(item):
                items.append(Link(item[0], int(item[1])))
            else:
                items.append(Constant(_engine_value(item, output)))
    return items[0] if len(items) == 1 and not output.each else Each(items)
