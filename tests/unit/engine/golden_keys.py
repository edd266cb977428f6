"""The keys of fixed graphs, computed with nothing but graphcore: other Pythons run this too."""

from __future__ import annotations

from typing import Any

from graphcore import Registry, read_workflow
from graphcore.graph_keys import graph_keys
from graphcore.validation import check_workflow
from tests.unit.engine.arithmetic import arithmetic


def keys_of(source: Any, registry: Registry) -> dict[str, str]:
    """The keys of a document's nodes, as hex."""
    workflow = read_workflow(source, registry)
    graph = check_workflow(workflow, registry)
    keys = graph_keys(graph.nodes)
    return {node.id: key.hex() for node, key in zip(graph.nodes, keys, strict=True) if key is not None}


def golden_graphs() -> dict[str, dict[str, Any]]:
    """Fixed graphs; their keys may never change without a new key schema."""
    number = {"type": "Number", "inputs": {"value": 3}}
    return {
        "a literal": {"n": number},
        "a chain": {"a": number, "b": {"type": "Add", "inputs": {"a": {"node": "a"}, "b": -5}}},
        "floats": {
            "r": {"type": "Real", "inputs": {"value": 0.1}},
            "s": {"type": "Real", "inputs": {"value": 3}},
        },
        "text": {
            "w": {"type": "Words", "inputs": {"text": "naïve 😀\n"}},
            "m": {"type": "Mode", "inputs": {"mode": "slow"}},
        },
        "lists": {"a": number, "s": {"type": "Sum", "inputs": {"values": [1, {"node": "a"}, 2]}}},
        "outputs": {
            "d": {"type": "Divide", "inputs": {"a": 9}},
            "n": {"type": "Add", "inputs": {"a": {"node": "d", "output": "remainder"}}},
        },
    }


def golden_keys() -> dict[str, dict[str, str]]:
    """The keys of the fixed graphs."""
    registry = arithmetic()
    found = {}
    for name, nodes in golden_graphs().items():
        last = list(nodes)[-1]
        output = {"node": last} if nodes[last]["type"] != "Divide" else {"node": last, "output": "quotient"}
        found[name] = keys_of({"graphcore": 1, "nodes": nodes, "outputs": {"o": output}}, registry)
    return found
