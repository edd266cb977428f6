"""Native documents and API prompts are told apart by shape, read, and written back as they were."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from graphcore import Dialect, Engine, Link, NodeEntry, ValidationError, Workflow, read_workflow
from graphcore.formats.comfy_api import write_prompt
from graphcore.formats.native import write_native
from graphcore.workflow import InputTarget, WorkflowInput
from tests.strategies import workflows
from tests.unit.engine.arithmetic import arithmetic

REGISTRY = arithmetic()

NATIVE: dict[str, Any] = {
    "$schema": "workflow.schema.json",
    "graphcore": 1,
    "title": "Seven",
    "description": "It adds.",
    "nodes": {
        "three": {"type": "Number", "inputs": {"value": 3}},
        "sum": {"type": "Add", "title": "the sum", "inputs": {"a": {"node": "three"}, "b": 4}},
    },
    "inputs": {
        "both": {
            "node": "three",
            "input": "value",
            "also": [{"node": "sum", "input": "b"}],
            "title": "Both",
            "description": "both numbers",
        }
    },
    "outputs": {"out": {"node": "sum", "output": "int"}},
    "ui": {"anything": [1, {"x": None}]},
}
PROMPT: dict[str, Any] = {
    "3": {"inputs": {"value": 3}, "class_type": "Number", "_meta": {"title": "three"}},
    "7": {"inputs": {"a": ["3", 0], "b": "4", "extra": 1}, "class_type": "Plus", "_meta": {"title": "Plus"}},
    "9": {"inputs": {"value": ["7", 0]}, "class_type": "Show", "_meta": {"title": "Show"}},
}


def test_a_native_document_is_read() -> None:
    workflow = read_workflow(json.dumps(NATIVE), REGISTRY)
    assert workflow == Workflow(
        nodes={
            "three": NodeEntry(type="Number", inputs={"value": 3}),
            "sum": NodeEntry(type="Add", title="the sum", inputs={"a": Link("three"), "b": 4}),
        },
        inputs={
            "both": WorkflowInput(
                targets=(InputTarget("three", "value"), InputTarget("sum", "b")),
                title="Both",
                description="both numbers",
            )
        },
        outputs={"out": Link("sum", "int")},
        title="Seven",
        description="It adds.",
        ui={"anything": [1, {"x": None}]},
    )


def test_a_native_document_is_written_as_it_was() -> None:
    assert write_native(read_workflow(NATIVE, REGISTRY), schema="workflow.schema.json") == NATIVE


def test_an_api_prompt_is_read_and_written_as_it_was() -> None:
    workflow = read_workflow(json.dumps(PROMPT), REGISTRY)
    assert workflow.dialect is Dialect.COMFY
    assert workflow.nodes["7"].inputs["a"] == Link("3", 0)
    assert write_prompt(workflow, REGISTRY) == PROMPT


def test_a_prompt_may_stand_in_an_envelope() -> None:
    envelope = {"prompt": PROMPT, "client_id": "x"}
    assert read_workflow(envelope, REGISTRY) == read_workflow(PROMPT, REGISTRY)


def test_a_node_of_a_prompt_may_be_called_graphcore() -> None:
    odd = {"graphcore": {"class_type": "Number", "inputs": {}}}
    assert read_workflow(odd, REGISTRY).dialect is Dialect.COMFY


@settings(max_examples=100, deadline=None)
@given(workflows())
def test_what_is_written_is_read_back_the_same(workflow: Workflow) -> None:
    assert read_workflow(json.dumps(write_native(workflow)), REGISTRY) == workflow


def test_an_object_as_a_value_is_wrapped() -> None:
    workflow = Workflow(nodes={"n": NodeEntry(type="Same", inputs={"value": {"node": "no link"}})})
    written = write_native(workflow)
    assert read_workflow(written, REGISTRY) == workflow


def test_a_document_is_read_from_a_file_from_bytes_and_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "flow.json"
    path.write_text("\ufeff" + json.dumps(NATIVE), encoding="utf-8")
    read = read_workflow(path, REGISTRY)
    assert read == read_workflow(NATIVE, REGISTRY) == read_workflow(json.dumps(NATIVE).encode(), REGISTRY)
    assert read_workflow(read, REGISTRY) is read


def test_declared_inputs_set_every_target() -> None:
    with Engine(REGISTRY) as engine:
        assert engine.run(NATIVE)["out"] == 7
        assert engine.run(NATIVE, both=10)["out"] == 20
        assert engine.start(NATIVE, inputs={"three.value": 1}).result(20)["out"] == 5


def test_the_present_values_of_declared_inputs_are_told() -> None:
    assert read_workflow(NATIVE, REGISTRY).input_values() == {"both": 3}


def test_a_declared_input_is_validated_like_any_value() -> None:
    with Engine(REGISTRY) as engine, pytest.raises(ValidationError) as caught:
        engine.run(NATIVE, both="many")
    assert [problem.code for problem in caught.value.problems] == ["wrong-type", "wrong-type"]


def test_both_formats_mean_the_same() -> None:
    with Engine(REGISTRY) as engine:
        engine.run(NATIVE)
        result = engine.run(PROMPT)
        assert result.shown["9"] == ({"kind": "text", "text": "7"},)
        assert {report.node: report.source for report in result.reports}["7"] == "cache"
