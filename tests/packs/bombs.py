"""Nodes that grow while they run: for tests of what a run may grow to."""

from __future__ import annotations

from graphcore import Each, Expand, Link, NodeEntry, Workflow, node


@node("Endless", category="test")
def endless(value: int = 0) -> int | Expand:
    """Each step is another, one level deeper."""
    inner = NodeEntry(type="Endless", inputs={"value": value + 1})
    return Expand(Workflow(nodes={"again": inner}), {"int": Link("again")})


@node("Doubling", category="test")
def doubling(value: int = 0) -> int | Expand:
    """Two of its kind at each level."""
    nodes = {
        name: NodeEntry(type="Doubling", inputs={"value": value * 2 + bit}) for bit, name in enumerate("ab")
    }
    return Expand(
        Workflow(nodes={**nodes, "sum": NodeEntry(type="Sum", inputs={"a": Link("a"), "b": Link("b")})}),
        {"int": Link("sum")},
    )


@node("Flood", category="test")
def flood(count: int = 1_000_000) -> int | Expand:
    """So many nodes at once."""
    nodes = {f"n{place}": NodeEntry(type="Number", inputs={"value": place}) for place in range(count)}
    return Expand(Workflow(nodes=nodes), {"int": Link("n0")})


@node("Stream", category="test")
def stream(count: int = 1_000_000) -> Each[int]:
    """So many values, for each of which what follows is run."""
    return Each(range(count))


@node("Tally", category="test", output=True)
def tally(values: list[int]) -> int:
    """How many there are."""
    return len(values)
