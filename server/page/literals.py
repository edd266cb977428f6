"""The plain values in a workflow's nodes, each with the input that takes it, and which of them people ask for first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from graphcore.registry import Registry
from graphcore.spec import MISSING, InputSpec
from graphcore.workflow import UNREADABLE, Link, NodeEntry, Workflow

Side = Literal["positive", "negative", ""]
_ORDER: Final = ("steps", "cfg", "guidance", "width", "height", "batch_size", "denoise")
_SIDES: Final = ("positive", "negative")
LAST: Final = 99


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeValue:
    """A plain value of a node. `rank` orders what a form asks for; from LAST on it is kept for who looks further."""

    node: str
    input: InputSpec
    value: object
    side: Side
    rank: int


def node_values(workflow: Workflow, registry: Registry) -> list[NodeValue]:
    """The values of all inputs that may hold one and are not linked, defaults included, in the document's order."""
    sides = _sides(workflow)
    found = []
    for node_id, entry in workflow.nodes.items():
        spec = registry.get(entry.type)
        for declared in () if spec is None else spec.inputs:
            value = entry.inputs.get(declared.name, declared.default)
            if value is UNREADABLE or has_link(value) or not _may_hold(declared, value):
                continue
            side = sides.get(node_id, "")
            found.append(
                NodeValue(
                    node=node_id,
                    input=declared,
                    value=None if value is MISSING else value,
                    side=side,
                    rank=_rank(declared, side),
                )
            )
    return found


def prompt_of(workflow: Workflow, registry: Registry) -> str:
    """The text that says what a workflow is to make: the first that is not empty, wanted before unwanted."""
    texts = [
        (value.rank, value.value)
        for value in node_values(workflow, registry)
        if value.side != "negative" and value.input.text is not None and value.input.text.multiline
    ]
    return next((text for _, text in sorted(texts, key=_first) if isinstance(text, str) and text.strip()), "")


def links_of(value: object) -> Iterator[Link]:
    """The links that an input's value is or holds."""
    if isinstance(value, Link):
        yield value
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from links_of(item)


def has_link(value: object) -> bool:
    """True if an input's value comes, in part, from another node."""
    return next(links_of(value), None) is not None


def _may_hold(declared: InputSpec, value: object) -> bool:
    given = value is not MISSING and value is not None
    return declared.is_widget or declared.file is not None or (given and isinstance(value, (str, int, float)))


def _rank(declared: InputSpec, side: Side) -> int:
    if declared.file is not None:
        return 0 if declared.file.upload == "image" else 20
    if declared.text is not None and declared.text.multiline:
        return {"positive": 1, "": 2, "negative": 3}[side]
    if declared.seed is not None:
        return 12
    return 4 + _ORDER.index(declared.name) if declared.name in _ORDER else LAST


def _sides(workflow: Workflow) -> dict[str, Side]:
    """For each node on whose way to a sampler there is one: whether it says what is wanted or what is not."""
    sources: dict[str, set[str]] = {}
    sides: dict[str, Side] = {}
    for node_id, entry in workflow.nodes.items():
        for value in entry.inputs.values():
            for link in links_of(value):
                sources.setdefault(node_id, set()).add(link.node)
    for side in _SIDES:
        pending = [link.node for entry in workflow.nodes.values() for link in _named(entry, side)]
        for node_id in pending:
            if node_id not in sides:
                sides[node_id] = "negative" if side == "negative" else "positive"
                pending.extend(sources.get(node_id, ()))
    return sides


def _named(entry: NodeEntry, name: str) -> Iterator[Link]:
    return links_of(entry.inputs.get(name))


def _first(ranked: tuple[int, object]) -> int:
    return ranked[0]
