"""Workflows in short, for the engine's tests."""

from __future__ import annotations

from collections.abc import Mapping

from graphcore import Link, NodeEntry, Workflow

Nodes = Mapping[str, tuple[str, dict[str, object]]]


def flow(out: str | Mapping[str, Link], nodes: Nodes) -> Workflow:
    """A workflow of `id: (type, inputs)`, with the output `out` of one node or with these outputs."""
    entries = {node_id: NodeEntry(type=kind, inputs=inputs) for node_id, (kind, inputs) in nodes.items()}
    outputs = {"out": Link(out)} if isinstance(out, str) else dict(out)
    return Workflow(nodes=entries, outputs=outputs)
