"""What a run leaves for later plans: how its nodes' inputs looked, and what the work cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from graphcore.cache.entry import NodeRun
from graphcore.checked import CheckedNode
from graphcore.graph_keys import GraphKeys
from graphcore.results import NodeReport

_MOST: Final = 5_000
_QUICK_S: Final = 0.001


def node_runs(
    nodes: Sequence[CheckedNode], keys: GraphKeys, ids: Mapping[str, int], reports: Sequence[NodeReport]
) -> list[NodeRun]:
    """What to remember of a run: its nodes that took time or came from a cache, at most a few thousand."""
    worth = [report for report in reports if report.source == "cache" or report.seconds >= _QUICK_S]
    worth.sort(key=lambda report: -report.seconds)
    runs = []
    for report in worth[:_MOST]:
        index = ids[report.node]
        node = nodes[index]
        runs.append(
            NodeRun(
                node=report.node,
                type=report.type,
                version=node.spec.version,
                inputs=keys.input_digests(index),
                work=work_of(node),
                seconds=report.seconds if report.source == "run" else None,
                size=report.size,
            )
        )
    return runs


def work_of(node: CheckedNode) -> str:
    """What sets the size of a node's work: its steps, pixels and batch."""
    amounts = []
    for declared in node.spec.inputs:
        if declared.range is not None and declared.range.role is not None and declared.name in node.arguments:
            amounts.append(f"{declared.name}={node.arguments[declared.name]}")
    return ",".join(amounts)
