"""In ComfyUI's prompts each item of a list is an input of its own: `values.value0`, `values.value1` ..."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Annotated, Any

import pytest

from graphcore import DeclarationError, Engine, Growing, Link, Registry, node, read_workflow, validate
from graphcore.formats.as_native import as_native
from graphcore.formats.object_info import object_info
from graphcore.formats.reading import own_definitions
from graphcore.formats.ui import read_ui_graph, to_api_prompt, to_ui_graph


@node("One")
def one(value: int = 1) -> int:
    """A number."""
    return value


@node("Row", output=True)
def row(values: Annotated[list[int], Growing(least=2)], name: str = "") -> str:
    """The numbers in order."""
    return f"{name}{values}"


@pytest.fixture
def registry() -> Registry:
    """The two nodes."""
    return Registry([one, row])


def prompt(**inputs: Any) -> dict[str, Any]:
    return {
        "1": {"class_type": "One", "inputs": {"value": 7}},
        "2": {"class_type": "Row", "inputs": inputs},
    }


@pytest.mark.parametrize(
    ("inputs", "made"),
    [
        ({"values.value0": ["1", 0], "values.value1": 5}, "[7, 5]"),
        ({"values.value10": 3, "values.value2": 2, "values.value1": 1}, "[1, 2, 3]"),
        ({"values": 4, "values.value0": ["1", 0]}, "[4, 7]"),
        ({"values": {"__value__": [8, 9]}, "values.value0": 1}, "[8, 9, 1]"),
        ({"values": ["1", 0]}, "[7]"),
        ({"values": {"__value__": []}}, "[]"),
        ({"values.other": 6, "name": "x"}, "x[6]"),
    ],
)
def test_items_stand_in_the_order_of_their_numbers(
    registry: Registry, inputs: dict[str, Any], made: str
) -> None:
    native = as_native(read_workflow(json.dumps(prompt(**inputs)), registry), registry)
    with Engine(registry) as engine:
        result = engine.run(replace(native, outputs={"row": Link("2")}))
    assert result["row"] == made


@pytest.mark.parametrize(
    ("inputs", "codes"),
    [
        ({"values.value0": ["1", 0], "values.value1": "many"}, ["wrong-type"]),
        ({"values.value0": ["9", 0]}, ["unknown-link-node"]),
        ({"values.value0": [1, 2, 3]}, ["bad-link"]),
        ({"name.name0": 3}, ["missing-input"]),
        ({"other.other0": 3, "values": 1}, []),
    ],
)
def test_what_is_wrong_with_an_item_is_told(
    registry: Registry, inputs: dict[str, Any], codes: list[str]
) -> None:
    problems = validate(read_workflow(json.dumps(prompt(**inputs)), registry), registry)
    assert [problem.code for problem in problems] == codes


def test_editors_are_told_that_it_grows(registry: Registry) -> None:
    info: Any = object_info(registry)["Row"]
    assert info["input"]["required"]["values"] == [
        "COMFY_AUTOGROW_V3",
        {"template": {"input": {"required": {"value": ["INT", {}]}}, "prefix": "value", "min": 2, "max": 50}},
    ]


def test_it_is_drawn_with_a_socket_for_each_item(registry: Registry) -> None:
    given = prompt(**{"values.value0": ["1", 0], "values.value1": ["1", 0], "values.value2": 5, "name": "x"})
    definitions = own_definitions(registry)
    drawn = json.loads(json.dumps(to_ui_graph(given, definitions)))
    sockets = next(entry["inputs"] for entry in drawn["nodes"] if entry["type"] == "Row")
    assert [socket["name"] for socket in sockets] == ["values.value0", "values.value1", "values.value2"]
    assert to_api_prompt(read_ui_graph(drawn), definitions)["2"]["inputs"] == given["2"]["inputs"]  # type: ignore[index,call-overload]


def test_only_lists_grow() -> None:
    with pytest.raises(DeclarationError, match="no list"):

        @node("Wrong")
        def wrong(value: Annotated[int, Growing()]) -> int:
            return value
