"""Hypothesis strategies: random workflows of the arithmetic nodes, and what they mean by a naive evaluator."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from graphcore import Each, Link, NodeEntry, Workflow

FAILED = "failed"
BLOCKED = "blocked"

_SMALL = st.integers(-5, 5)
_KINDS = ("Number", "Add", "Divide", "Sum", "Items", "Choose", "Gate", "Power", "Slowly", "Later", "Fail")


@st.composite
def workflows(draw: st.DrawFn, *, most: int = 14) -> Workflow:
    """A random DAG in which every node is a declared output."""
    nodes: dict[str, NodeEntry] = {}
    outputs: dict[str, Link] = {}
    for place in range(draw(st.integers(1, most))):
        node_id = f"n{place}"
        kind = draw(st.sampled_from(_KINDS)) if outputs else "Number"
        earlier = st.sampled_from(sorted(outputs.values(), key=str)) if outputs else st.nothing()
        either = st.one_of(earlier, _SMALL) if outputs else _SMALL
        nodes[node_id] = NodeEntry(type=kind, inputs=_inputs(draw, kind, earlier, either))
        names = ("quotient", "remainder") if kind == "Divide" else ("int",)
        for name in names:
            outputs[f"{node_id}_{name}"] = Link(node_id, name)
    shuffled = draw(st.permutations(sorted(nodes)))
    return Workflow(nodes={node_id: nodes[node_id] for node_id in shuffled}, outputs=outputs)


def _inputs(draw: st.DrawFn, kind: str, link: st.SearchStrategy[Link], either: Any) -> dict[str, object]:
    if kind == "Number":
        return {"value": draw(_SMALL)}
    if kind == "Items":
        return {"count": draw(st.integers(0, 3))}
    if kind == "Sum":
        return {"values": draw(st.one_of(link, st.lists(either, max_size=4)))}
    if kind == "Choose":
        return {"which": draw(st.booleans()), "yes": draw(either), "no": draw(either)}
    if kind == "Gate":
        return {"value": draw(either), "least": draw(_SMALL)}
    if kind == "Power":
        return {"base": draw(either), "exponent": draw(st.integers(0, 3))}
    if kind in ("Slowly", "Later", "Fail"):
        return {"value": draw(either)}
    return {"a": draw(either), "b": draw(either)}


@dataclass(frozen=True)
class Naive:
    """Evaluates a workflow by the book: every node on its own, from nothing but what feeds it.

    A value is a number, an Each, BLOCKED or FAILED.
    """

    workflow: Workflow

    def value(self, link: Link) -> object:
        """The value of a node's output."""
        entry = self.workflow.nodes[link.node]
        values = {name: self._argument(given) for name, given in entry.inputs.items()}
        if entry.type == "Choose":
            return values["yes"] if values["which"] else values["no"]
        return self._called(entry.type, str(link.output), values)

    def _argument(self, given: object) -> object:
        if isinstance(given, Link):
            return self.value(given)
        if isinstance(given, list):
            return [self._argument(item) for item in given]
        return given

    def _called(self, kind: str, output: str, values: dict[str, object]) -> object:
        if kind == "Sum":
            return _summed(values["values"])
        if FAILED in values.values():
            return FAILED
        if BLOCKED in values.values():
            return BLOCKED
        if kind == "Items":
            return Each(range(int(str(values["count"]))))
        lists = [value for value in values.values() if isinstance(value, Each)]
        if not lists:
            return _one(kind, output, values)
        lengths = {len(items) for items in lists}
        if 0 in lengths:
            return Each([])
        if len(lengths - {1}) > 1 or (kind == "Power" and values["exponent"] != 0):
            return FAILED
        rows = [_row(values, place) for place in range(max(lengths))]
        results = [BLOCKED if BLOCKED in row.values() else _one(kind, output, row) for row in rows]
        return FAILED if FAILED in results else Each(results)


def _row(values: Mapping[str, object], place: int) -> dict[str, object]:
    return {
        name: value.items[min(place, len(value) - 1)] if isinstance(value, Each) else value
        for name, value in values.items()
    }


def _summed(given: object) -> object:
    flat: list[Any] = []
    for item in given if isinstance(given, list) else [given]:
        flat.extend(item.items if isinstance(item, Each) else [item])
    if FAILED in flat:
        return FAILED
    return BLOCKED if BLOCKED in flat else sum(flat)


def _one(kind: str, output: str, values: Mapping[str, Any]) -> object:
    functions: dict[str, Callable[..., object]] = {
        "Number": lambda value: value,
        "Slowly": lambda value: value,
        "Later": lambda value: value,
        "Add": lambda a, b: a + b,
        "Gate": lambda value, least: value if value >= least else BLOCKED,
        "Power": lambda base, exponent: base**exponent,
        "Fail": lambda value: FAILED,
        "Divide": lambda a, b: FAILED if b == 0 else (a // b if output == "quotient" else a % b),
    }
    return functions[kind](**values)
