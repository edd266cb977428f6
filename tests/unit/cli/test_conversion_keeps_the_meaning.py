"""A workflow written in another format has the same keys: it is the same work."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from graphcore import NodeEntry, Registry, Workflow, node, read_workflow
from graphcore.formats.as_native import as_native, checked_as_written
from graphcore.formats.python_code import write_python
from graphcore.graph_keys import graph_keys
from tests.packs.tasks import register
from tests.unit.cli.conftest import CommandLine

SHIPPED = sorted(
    path
    for path in (Path(__file__).parents[3] / "workflows").glob("*.json")
    if path.name != "workflow.schema.json"
)
TRICKY = {
    "graphcore": 1,
    "title": 'A "tricky" one \\ with """ quotes',
    "nodes": {
        "for": {"type": "TaskNumber", "title": 'Loop\'s "number"', "inputs": {"value": 7}},
        "3": {"type": "TaskSplit", "inputs": {"value": {"node": "for"}}},
        "sum": {
            "type": "TaskSum",
            "inputs": {
                "values": [{"node": "3", "output": "small"}, 5, {"node": "3", "output": "large"}],
                "factor": 2,
            },
        },
        "print": {
            "type": "TaskTell",
            "inputs": {"text": 'line\nbreak "quoted" \\ ünïcode 🎨 \u2028', "again": True},
        },
    },
    "inputs": {"value": {"node": "for", "input": "value", "title": "Value", "description": "how many"}},
    "outputs": {"sum": {"node": "sum"}, "part": {"node": "3", "output": "small"}},
}
PROMPT = {
    "10:1": {
        "class_type": "TaskInteger",
        "inputs": {"value": "7", "undeclared": 1},
        "_meta": {"title": "Seven"},
    },
    "10:2": {"class_type": "TaskSplit", "inputs": {"value": ["10:1", 0]}},
    "10.2": {"class_type": "TaskSum", "inputs": {"values": ["10:2", 1], "factor": "0.5"}},
    "x": {"class_type": "TaskTell", "inputs": {"text": 5, "again": 1}},
}


def keys(workflow: Workflow, registry: Registry) -> dict[str, Any]:
    """The key of each node by its id."""
    graph = checked_as_written(workflow, registry)
    return {node.id: key for node, key in zip(graph.nodes, graph_keys(graph.nodes), strict=True)}


def built(script: str, registry: Registry) -> Workflow:
    """The workflow that a written script builds."""
    names: dict[str, Any] = {"__name__": "script"}
    exec(compile(script, "<script>", "exec"), names)
    made = names["build"](registry)
    assert isinstance(made, Workflow)
    return made


@pytest.fixture
def registry() -> Registry:
    """The test pack's nodes."""
    made = Registry()
    register(made)
    return made


def test_python_builds_the_same_workflow(registry: Registry) -> None:
    workflow = read_workflow(json.dumps(TRICKY), registry)
    again = built(write_python(workflow, registry), registry)
    assert keys(again, registry) == keys(workflow, registry)
    assert (again.title, again.inputs) == (workflow.title, workflow.inputs)
    assert {name: link.node for name, link in again.outputs.items()} == {"sum": "sum", "part": "3"}
    assert again.nodes["for"].title == workflow.nodes["for"].title


def test_names_that_mean_something_to_the_script_are_kept_apart() -> None:
    @node("_Hidden")
    def hidden(title: str = "", node_id: int = 0) -> str:
        return title

    registry = Registry([hidden])
    words = ("Graph", "Registry", "registry", "g", "workflow", "build", "Engine", "engine", "Workflow", "id")
    nodes = {word: NodeEntry(type="_Hidden", inputs={"title": word, "node_id": 3}) for word in words}
    workflow = Workflow(nodes=nodes)
    assert keys(built(write_python(workflow, registry), registry), registry) == keys(workflow, registry)


def test_a_prompt_becomes_native(registry: Registry) -> None:
    workflow = read_workflow(json.dumps(PROMPT), registry)
    native = as_native(workflow, registry)
    assert list(native.nodes) == ["10_1", "10_2", "10_2_2", "x"]
    assert native.nodes["10_1"].type == "TaskNumber"
    assert native.nodes["10_1"].inputs == {"value": 7}
    assert native.nodes["x"].inputs == {"text": "5", "again": True}
    assert list(keys(native, registry).values()) == list(keys(workflow, registry).values())


def test_a_prompt_becomes_python(registry: Registry) -> None:
    workflow = read_workflow(json.dumps(PROMPT), registry)
    again = built(write_python(workflow, registry), registry)
    assert sorted(keys(again, registry).values()) == sorted(keys(workflow, registry).values())


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_shipped_workflows_survive_every_format(file: Path) -> None:
    registry = Registry.installed()
    workflow = read_workflow(file, registry)
    wanted = sorted(str(key) for key in keys(workflow, registry).values())
    native = as_native(workflow, registry)
    for other in (native, built(write_python(workflow, registry), registry)):
        assert sorted(str(key) for key in keys(other, registry).values()) == wanted


@pytest.mark.parametrize("target", ["comfy-api", "comfy-ui"])
def test_there_and_back_on_the_command_line(cli: CommandLine, registry: Registry, target: str) -> None:
    nodes = {
        "1": {"type": "TaskNumber", "inputs": {"value": 7}},
        "2": {"type": "TaskSplit", "inputs": {"value": {"node": "1"}}},
        "3": {"type": "TaskSum", "inputs": {"values": {"node": "2", "output": "large"}, "factor": 0.5}},
        "4": {"type": "TaskTell", "inputs": {"text": "hi", "style": "loud", "again": True, "seed": 3}},
    }
    file = cli.write("w.json", {"graphcore": 1, "nodes": nodes})
    there = cli.run("convert", file, "--to", target)
    assert there.code == 0, there.err
    back = cli.run("convert", "-", "--to", "native", stdin=there.out.encode())
    assert back.code == 0, back.err
    workflow, again = read_workflow(file, registry), read_workflow(back.out, registry)
    assert sorted(keys(again, registry).values()) == sorted(keys(workflow, registry).values())


def test_the_items_of_a_list_are_inputs_of_their_own(cli: CommandLine, registry: Registry) -> None:
    file = cli.write("w.json", TRICKY)
    prompt = cli.run("convert", file, "--to", "comfy-api").json
    assert prompt["sum"]["inputs"] == {
        "values.value0": ["3", 0],
        "values.value1": 5,
        "values.value2": ["3", 1],
        "factor": 2,
    }
    again = read_workflow(json.dumps(prompt), registry)
    assert keys(again, registry) == keys(read_workflow(file, registry), registry)


def test_what_a_format_cannot_say_is_told(cli: CommandLine) -> None:
    outcome = cli.run("convert", cli.write("w.json", TRICKY), "--to", "comfy-ui")
    assert outcome.code == 2
    assert "not-in-comfy-ui" in outcome.err


def test_an_invalid_workflow_is_not_converted(cli: CommandLine) -> None:
    file = cli.write("w.json", {"1": {"class_type": "Nowhere", "inputs": {}}})
    for target in ("native", "python"):
        outcome = cli.run("convert", file, "--to", target)
        assert outcome.code == 2
        assert "unknown-node-type" in outcome.err


def test_output_goes_to_a_file(cli: CommandLine) -> None:
    file = cli.write("w.json", PROMPT)
    assert cli.run("convert", file, "--to", "native", "-o", "native.json").out == ""
    assert json.loads((cli.folder / "native.json").read_text(encoding="utf-8"))["graphcore"] == 1
    assert cli.run("convert", file, "--to", "native", "-o", "no/such/folder.json").code == 2


def test_nodes_that_are_not_installed_are_read_with_a_servers_definitions(cli: CommandLine) -> None:
    info = cli.run("nodes", "TaskTell", "--json").json["object_info"]
    cli.write("info.json", {"FarAway": {**info, "name": "FarAway"}})
    graph = {
        "version": 0.4,
        "nodes": [
            {"id": 1, "type": "FarAway", "mode": 0, "widgets_values": ["hi", "loud", False, 5, "fixed"]}
        ],
        "links": [],
    }
    file = cli.write("ui.json", graph)
    outcome = cli.run("convert", file, "--to", "comfy-api", "--object-info", "info.json")
    assert outcome.code == 0, outcome.err
    assert outcome.json["1"]["class_type"] == "FarAway"
    assert outcome.json["1"]["inputs"]["text"] == "hi"
    assert cli.run("convert", file, "--to", "comfy-api").code == 2
