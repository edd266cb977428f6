"""The JSON Schema accepts what is right and rejects what is wrong."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from graphcore import Registry, read_workflow
from graphcore.schema import workflow_schema
from graphcore.validation import validate
from tests.packs.tasks import register
from tests.unit.cli.conftest import CommandLine

WORKFLOWS = Path(__file__).parents[3] / "workflows"
GOOD: dict[str, Any] = {
    "$schema": "./workflow.schema.json",
    "graphcore": 1,
    "title": "Good",
    "nodes": {
        "number": {"type": "TaskInteger", "title": "Seven", "inputs": {"value": 7}},
        "parts": {"type": "TaskSplit", "inputs": {"value": {"node": "number"}}},
        "sum": {
            "type": "TaskSum",
            "inputs": {"values": [{"node": "parts", "output": "small"}, 5], "factor": 2},
        },
        "tell": {"type": "TaskTell", "inputs": {"text": "hi", "style": "loud", "again": False}},
    },
    "inputs": {"value": {"node": "number", "input": "value", "also": [{"node": "tell", "input": "seed"}]}},
    "outputs": {"sum": {"node": "sum"}},
    "ui": {"anything": [1]},
}


@pytest.fixture(scope="module")
def registry() -> Registry:
    """The test pack's nodes."""
    made = Registry()
    register(made)
    return made


@pytest.fixture(scope="module")
def validator(registry: Registry) -> Draft202012Validator:
    """A validator for workflows of the test pack's nodes."""
    schema = workflow_schema(registry)
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def test_a_good_workflow_passes(validator: Draft202012Validator, registry: Registry) -> None:
    assert list(validator.iter_errors(GOOD)) == []
    assert validate(read_workflow(json.dumps(GOOD), registry), registry) == []


def _set(*path: Any) -> Callable[[dict[str, Any]], None]:
    *place, name, value = path

    def change(document: dict[str, Any]) -> None:
        inner: Any = document
        for part in place:
            inner = inner[part]
        inner[name] = value

    return change


@pytest.mark.parametrize(
    "change",
    [
        _set("graphcore", 2),
        _set("extra", 1),
        _set("nodes", "number", "type", "TaskNumbre"),
        _set("nodes", "number", "colour", "red"),
        _set("nodes", "a b", {"type": "TaskTell"}),
        _set("nodes", "number", "inputs", "value", "7"),
        _set("nodes", "number", "inputs", "value", 7.5),
        _set("nodes", "number", "inputs", "value", 1001),
        _set("nodes", "number", "inputs", "valeu", 7),
        _set("nodes", "parts", "inputs", {}),
        _set("nodes", "parts", {"type": "TaskSplit"}),
        _set("nodes", "parts", "inputs", "value", {"nod": "number"}),
        _set("nodes", "parts", "inputs", "value", ["number", 0]),
        _set("nodes", "tell", "inputs", "style", "quiet"),
        _set("nodes", "tell", "inputs", "again", "false"),
        _set("nodes", "tell", "inputs", "seed", -(2**63) - 1),
        _set("nodes", "sum", "inputs", "values", ["five"]),
        _set("inputs", "1st", {"node": "number", "input": "value"}),
        _set("inputs", "value", {"node": "number"}),
        _set("outputs", "sum", "sum"),
    ],
)
def test_a_wrong_workflow_fails(
    validator: Draft202012Validator, registry: Registry, change: Callable[[dict[str, Any]], None]
) -> None:
    document = copy.deepcopy(GOOD)
    change(document)
    assert list(validator.iter_errors(document)) != []


NATIVE = [
    path for path in sorted(WORKFLOWS.glob("*.json")) if '"graphcore": 1' in path.read_text(encoding="utf-8")
]


@pytest.mark.parametrize("file", NATIVE, ids=lambda file: file.stem)
def test_shipped_workflows_pass_and_name_their_schema(file: Path) -> None:
    document = json.loads(file.read_text(encoding="utf-8"))
    assert document["$schema"] == "./workflow.schema.json"
    schema = workflow_schema(Registry.installed())
    assert [error.message for error in Draft202012Validator(schema).iter_errors(document)] == []


def test_the_command_writes_it(cli: CommandLine) -> None:
    assert cli.run("schema", "-o", "s.json").code == 0
    written = json.loads((cli.folder / "s.json").read_text(encoding="utf-8"))
    assert "TaskTell" in written["$defs"]["node"]["properties"]["type"]["enum"]
