"""Random workflows keep their nodes, links and keys in every format and back."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import HealthCheck, given, settings

from graphcore import Registry, Workflow, read_workflow
from graphcore.formats.as_native import as_native, checked_as_written
from graphcore.formats.comfy_api import write_prompt
from graphcore.formats.native import write_native
from graphcore.formats.python_code import write_python
from graphcore.graph_keys import graph_keys
from tests.strategies import workflows
from tests.unit.engine.arithmetic import arithmetic

REGISTRY: Registry = arithmetic()


def keys(workflow: Workflow) -> dict[str, Any]:
    """The key of each node by its id."""
    graph = checked_as_written(workflow, REGISTRY)
    return {node.id: key for node, key in zip(graph.nodes, graph_keys(graph.nodes), strict=True)}


def reread(document: object) -> Workflow:
    """A document as it comes from a file."""
    return read_workflow(json.dumps(document), REGISTRY)


def plain(workflow: Workflow) -> dict[str, Any]:
    """The nodes as JSON, a list of one item as that item."""
    nodes: Any = write_native(workflow)["nodes"]
    for entry in nodes.values():
        for name, value in entry["inputs"].items():
            if isinstance(value, list) and len(value) == 1:
                entry["inputs"][name] = value[0]
    return dict(nodes)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(workflows())
def test_native_to_prompt_and_back(workflow: Workflow) -> None:
    prompt = write_prompt(workflow, REGISTRY)
    back = as_native(reread(prompt), REGISTRY)
    assert keys(reread(prompt)) == keys(back) == keys(workflow)
    assert plain(back) == plain(as_native(workflow, REGISTRY))


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(workflows())
def test_prompt_to_native_and_back(workflow: Workflow) -> None:
    prompt = write_prompt(workflow, REGISTRY)
    again = write_prompt(as_native(reread(prompt), REGISTRY), REGISTRY)
    assert again == prompt


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(workflows(most=8))
def test_python_builds_the_same(workflow: Workflow) -> None:
    names: dict[str, Any] = {"__name__": "script"}
    exec(compile(write_python(workflow, REGISTRY), "<script>", "exec"), names)
    assert keys(names["build"](REGISTRY)) == keys(workflow)
