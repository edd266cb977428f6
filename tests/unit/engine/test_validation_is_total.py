"""Validation finds every problem in one pass: its code, node, pointer, expected, got and the nearest known name."""

from __future__ import annotations

import json
from typing import Any

import pytest

from graphcore import Engine, Limits, Problem, ValidationError, node, read_workflow, validate
from graphcore.registry import Registry
from tests.unit.engine.arithmetic import NODES, arithmetic


@node("Even", check=lambda value: None if value % 2 == 0 else "The value must be even; add one.")
def even(value: int) -> int:
    """An even number."""
    return value


@node("Touchy", check=lambda value: 1 / value)
def touchy(value: int) -> int:
    """A node whose check fails."""
    return value


def problems(nodes: dict[str, Any], limits: Limits | None = None, **more: Any) -> list[Problem]:
    document = {"graphcore": 1, "nodes": nodes, **more}
    registry = Registry([*NODES, even, touchy])
    return validate(read_workflow(json.dumps(document), registry), registry, limits=limits)


def one(nodes: dict[str, Any], limits: Limits | None = None, **more: Any) -> Problem:
    found = problems(nodes, limits, **more)
    assert len(found) == 1, [problem.code for problem in found]
    return found[0]


def show(value: object) -> dict[str, Any]:
    return {"type": "Show", "inputs": {"value": value}}


def test_all_problems_are_found_at_once() -> None:
    found = problems(
        {
            "a": {"type": "Nmber", "inputs": {}},
            "b": {"type": "Add", "inputs": {"a": "x", "bee": 1}},
            "c": {"type": "Add", "inputs": {"a": {"node": "nowhere"}}},
            "d": {"type": "Show", "inputs": {}},
            "e": {"type": "Add", "inputs": {"a": {"node": "f"}}},
            "f": {"type": "Add", "inputs": {"a": {"node": "e"}}},
        },
        outputs={"out": {"node": "gone"}},
    )
    assert [problem.code for problem in found] == [
        "unknown-node-type",
        "wrong-type",
        "unknown-input",
        "unknown-link-node",
        "missing-input",
        "unknown-link-node",
        "cycle",
    ]
    for problem in found:
        json.dumps(problem.as_json())


def test_an_unknown_type_is_told_with_the_nearest_one() -> None:
    problem = one({"a": {"type": "addd"}, "s": show(1)})
    assert (problem.code, problem.node, problem.pointer) == ("unknown-node-type", "a", "/nodes/a/type")
    assert (problem.got, problem.nearest) == ("addd", "Add")


def test_an_unknown_input_is_told_with_the_nearest_one() -> None:
    problem = one({"s": {"type": "Show", "inputs": {"value": 1, "valeu": 2}}})
    assert (problem.code, problem.input, problem.pointer) == (
        "unknown-input",
        "valeu",
        "/nodes/s/inputs/valeu",
    )
    assert (problem.expected, problem.nearest) == ("value", "value")


def test_a_missing_input_is_told_with_its_type() -> None:
    problem = one({"s": {"type": "Show"}})
    assert (problem.code, problem.node, problem.input) == ("missing-input", "s", "value")
    assert problem.expected == "INT"


@pytest.mark.parametrize(
    ("value", "code", "got"),
    [
        ("false", "wrong-type", "text"),
        (3.9, "wrong-type", "number"),
        (3.0, "wrong-type", "number"),
        (True, "wrong-type", "boolean"),
        (None, "wrong-type", "null"),
        ({"value": {}}, "wrong-type", "object"),
        ([1], "wrong-type", "list"),
    ],
)
def test_native_documents_are_strict(value: object, code: str, got: str) -> None:
    problem = one({"s": show(value)})
    assert (problem.code, problem.expected, problem.got) == (code, "INT", got)
    assert problem.pointer == "/nodes/s/inputs/value"


def test_ranges_choices_and_sockets_are_checked() -> None:
    found = problems(
        {
            "low": {"type": "Real", "inputs": {"value": -100.5}},
            "high": {"type": "Real", "inputs": {"value": 101}},
            "mode": {"type": "Mode", "inputs": {"mode": "fsat"}},
            "measure": {"type": "Measure", "inputs": {"picture": 3}},
            "s": show({"node": "words"}),
            "words": {"type": "Words"},
        }
    )
    assert {problem.node: problem.code for problem in found} == {
        "low": "value-too-small",
        "high": "value-too-large",
        "mode": "not-a-choice",
        "measure": "needs-link",
        "s": "link-type-mismatch",
    }
    by_node = {problem.node: problem for problem in found}
    assert by_node["mode"].nearest == "fast"
    assert (by_node["s"].expected, by_node["s"].got) == ("INT", "STRING")


@pytest.mark.parametrize(
    ("link", "code"),
    [
        ({"node": "s"}, "self-link"),
        ({"node": "numbr"}, "unknown-link-node"),
        ({"node": "number", "output": "itn"}, "unknown-link-output"),
        ({"node": "divide"}, "unknown-link-output"),
        ({"node": "number", "slot": 1}, "bad-link"),
        ({"node": "number", "output": 0}, "bad-link"),
        ({"node": 7}, "bad-link"),
        ([{"node": "number"}], "bad-link"),
    ],
)
def test_links_must_lead_somewhere(link: object, code: str) -> None:
    problem = one(
        {"s": show(link), "number": {"type": "Number"}, "divide": {"type": "Divide", "inputs": {"a": 1}}}
    )
    assert (problem.code, problem.node, problem.pointer) == (code, "s", "/nodes/s/inputs/value")


def test_a_link_in_a_list_is_pointed_at() -> None:
    found = problems({"s": {"type": "Sum", "inputs": {"values": [1, {"node": "x"}, "y"]}}, "t": show(1)})
    assert [(problem.code, problem.pointer) for problem in found] == [
        ("unknown-link-node", "/nodes/s/inputs/values/1"),
        ("wrong-type", "/nodes/s/inputs/values/2"),
    ]


def test_every_cycle_is_listed() -> None:
    def add(source: str) -> dict[str, Any]:
        return {"type": "Add", "inputs": {"a": {"node": source}}}

    found = problems(
        {"a": add("b"), "b": add("c"), "c": add("a"), "x": add("y"), "y": add("x"), "s": show(1)}
    )
    assert [problem.code for problem in found] == ["cycle", "cycle"]
    assert found[0].got == "a → c → b → a"
    assert found[1].got == "x → y → x"


def test_a_document_without_outputs_has_nothing_to_run_for() -> None:
    assert one({"a": {"type": "Number"}}).code == "no-outputs"


def test_a_node_may_check_its_values_together() -> None:
    assert one({"e": {"type": "Even", "inputs": {"value": 3}}, "s": show(1)}).code == "bad-combination"
    failed = one({"e": {"type": "Touchy", "inputs": {"value": 0}}, "s": show(1)})
    assert failed.code == "bad-combination"
    assert "ZeroDivisionError" in failed.message


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"extra": 1}, "unknown-field"),
        ({"title": 5}, "wrong-type"),
        ({"inputs": []}, "wrong-type"),
        ({"inputs": {"a": {"node": "s"}}}, "bad-workflow-input"),
        ({"inputs": {"a": {"node": "s", "input": "nothing"}}}, "bad-workflow-input"),
        ({"inputs": {"a": {"node": "x", "input": "value"}}}, "bad-workflow-input"),
        ({"inputs": {"7": {"node": "s", "input": "value"}}}, "bad-name"),
        ({"outputs": {"a": "s"}}, "bad-workflow-output"),
    ],
)
def test_the_rest_of_the_document_is_checked_too(more: dict[str, Any], code: str) -> None:
    assert one({"s": show(1)}, **more).code == code


@pytest.mark.parametrize(
    ("nodes", "code", "pointer"),
    [
        ({"a b": {"type": "Number"}}, "bad-node-id", "/nodes/a b"),
        ({"a/~b": {"type": "Number"}}, "bad-node-id", "/nodes/a~1~0b"),
        ({"": {"type": "Number"}}, "bad-node-id", "/nodes/"),
        ({"x" * 65: {"type": "Number"}}, "bad-node-id", "/nodes/" + "x" * 65),
        ({"a": 3}, "bad-node", "/nodes/a"),
        ({"a": {"inputs": {}}}, "missing-type", "/nodes/a/type"),
        ({"a": {"type": 3}}, "missing-type", "/nodes/a/type"),
        ({"a": {"type": "Number", "inputs": [1]}}, "bad-node", "/nodes/a/inputs"),
        ({"a": {"type": "Number", "value": 1}}, "unknown-field", "/nodes/a/value"),
    ],
)
def test_nodes_must_have_the_shape_of_nodes(nodes: dict[str, Any], code: str, pointer: str) -> None:
    problem = one({**nodes, "s": show(1)})
    assert (problem.code, problem.pointer) == (code, pointer)


def test_a_link_to_a_node_that_could_not_be_read_is_no_further_problem() -> None:
    assert one({"a b": {"type": "Number"}, "s": show({"node": "a b"})}).code == "bad-node-id"


def test_unknown_targets_are_told() -> None:
    with Engine(arithmetic()) as engine:
        found = engine.validate({"graphcore": 1, "nodes": {"show": show(1)}}, targets=["shwo"])
        assert [(problem.code, problem.nearest) for problem in found] == [("unknown-target", "show")]
        assert [p.code for p in engine.validate({"graphcore": 1, "nodes": {"s": show(1)}}, targets=[])] == [
            "no-outputs"
        ]


def test_unknown_workflow_inputs_are_told() -> None:
    with Engine(arithmetic()) as engine, pytest.raises(ValidationError) as caught:
        engine.run(
            {"graphcore": 1, "nodes": {"s": show(1)}, "inputs": {"value": {"node": "s", "input": "value"}}},
            valeu=3,
            other=4,
        )
    assert [problem.code for problem in caught.value.problems] == ["unknown-workflow-input"] * 2
    assert caught.value.problems[0].nearest == "value"


BUDGETS: list[tuple[Limits, dict[str, Any]]] = [
    (Limits(nodes=1), {"a": {"type": "Number"}, "s": show(1)}),
    (Limits(links=1), {"a": {"type": "Number"}, "s": show({"node": "a"}), "t": show({"node": "a"})}),
    (Limits(text_chars=3), {"a": {"type": "Words", "inputs": {"text": "long"}}, "s": show(1)}),
    (Limits(list_items=2), {"a": {"type": "Sum", "inputs": {"values": [1, 2, 3]}}, "s": show(1)}),
    (Limits(pixels=99), {"a": {"type": "Draw", "inputs": {"width": 10, "height": 10}}, "s": show(1)}),
]


@pytest.mark.parametrize(("limits", "nodes"), BUDGETS, ids=["nodes", "links", "text", "lists", "pixels"])
def test_budgets_bound_what_a_document_asks_for(limits: Limits, nodes: dict[str, Any]) -> None:
    problem = one(nodes, limits)
    assert problem.code == "over-budget"
    assert problem.got is not None


def test_hints_for_a_hundred_thousand_unknown_names_do_not_take_for_ever() -> None:
    nodes = {f"n{place}": {"type": f"Nmber{place}"} for place in range(20_000)}
    found = problems({**nodes, "s": show(1)})
    assert len(found) == 20_000
    assert found[0].nearest is not None
    assert found[-1].nearest is None


def test_an_empty_list_of_problems_means_it_runs() -> None:
    assert problems({"s": show(1)}) == []
