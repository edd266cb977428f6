"""A prompt runs for its good outputs; what is wrong with the others is told in ComfyUI's words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest

from graphcore import Range, Registry, Settings, node
from graphcore.files import Files
from graphcore.limits import Limits
from graphcore.widgets import FileChoice
from server.checking import Rules
from server.comfy.acceptance import Accepted, Refused, assess


def _even(a: int, b: int) -> str | None:
    return "they must sum up to an even number" if (a + b) % 2 else None


@node("Number")
def number(value: Annotated[int, Range(0, 100)] = 0) -> int:
    return value


@node("Pair", check=_even)
def pair(a: int, b: int) -> int:
    return a + b


@node("Word")
def word(text: str = "") -> str:
    return text


@node("Choose")
def choose(way: Literal["left", "right"] = "left") -> int:
    return 1 if way == "left" else 2


@node("Open")
def open_file(name: Annotated[str, FileChoice("vae")]) -> int:
    return len(name)


@node("Row", output=True)
def row(values: list[int]) -> None:
    return None


@node("Keep", output=True)
def keep(value: Annotated[int, Range(0, 10)]) -> None:
    return None


@pytest.fixture
def rules(tmp_path: Path) -> Rules:
    (tmp_path / "vae").mkdir()
    for place in range(21):
        (tmp_path / "vae" / f"{place}.safetensors").write_bytes(b"")
    files = Files.from_settings(Settings(models_dirs=(tmp_path,)))
    return Rules(
        registry=Registry([number, pair, word, choose, open_file, keep, row]), files=files, limits=Limits()
    )


def entry(kind: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": kind, "inputs": inputs}


def error_of(rules: Rules, faulty: dict[str, Any]) -> dict[str, Any]:
    """The one error of a node that feeds the only output."""
    refused = assess({"1": faulty, "2": entry("Keep", value=["1", 0])}, None, rules)
    assert isinstance(refused, Refused)
    assert refused.error == {
        "type": "prompt_outputs_failed_validation",
        "message": "Prompt outputs failed validation",
        "details": "",
        "extra_info": {},
    }
    assert set(refused.node_errors) == {"1"}
    assert refused.node_errors["1"]["dependent_outputs"] == ["2"]
    assert refused.node_errors["1"]["class_type"] == faulty["class_type"]
    (error,) = refused.node_errors["1"]["errors"]
    return dict(error)


def test_a_good_prompt_is_taken_whole(rules: Rules) -> None:
    prompt = {"1": entry("Number", value="5"), "2": entry("Keep", value=["1", 0])}

    accepted = assess(prompt, None, rules)

    assert isinstance(accepted, Accepted)
    assert accepted.outputs == ("2",)
    assert accepted.whole
    assert json.loads(accepted.document) == {"prompt": prompt}


def test_undeclared_inputs_are_accepted_whatever_they_hold(rules: Rules) -> None:
    prompt = {"1": entry("Keep", value=3, note="x", links=[["a"], 2, 3], lost=["99", 0])}

    accepted = assess(prompt, None, rules)

    assert isinstance(accepted, Accepted)
    assert accepted.node_errors == {}


def test_the_items_of_a_list_are_kept_beside_a_bad_output(rules: Rules) -> None:
    row = {"values.value0": ["1", 0], "values.value1": 3}
    prompt = {
        "1": entry("Number", value=1),
        "2": {"class_type": "Row", "inputs": row},
        "3": entry("Keep", value=99),
    }

    accepted = assess(prompt, None, rules)

    assert isinstance(accepted, Accepted)
    assert accepted.outputs == ("2",)
    assert json.loads(accepted.document)["prompt"]["2"]["inputs"] == row


def test_good_outputs_run_and_bad_ones_are_reported(rules: Rules) -> None:
    prompt = {
        "good": entry("Number", value=1),
        "bad": entry("Number", value=101),
        "kept": entry("Keep", value=["good", 0]),
        "lost": entry("Keep", value=["bad", 0]),
        "too": entry("Keep", value=99),
    }

    accepted = assess(prompt, None, rules)

    assert isinstance(accepted, Accepted)
    assert accepted.outputs == ("kept",)
    assert not accepted.whole
    assert set(json.loads(accepted.document)["prompt"]) == {"good", "kept"}
    assert set(accepted.node_errors) == {"bad", "too"}
    assert accepted.node_errors["bad"]["dependent_outputs"] == ["lost"]
    assert accepted.node_errors["too"]["dependent_outputs"] == ["too"]


def test_nodes_that_no_output_needs_may_be_wrong(rules: Rules) -> None:
    prompt = {"1": entry("Keep", value=1), "2": entry("Number", value="many")}

    accepted = assess(prompt, None, rules)

    assert isinstance(accepted, Accepted)
    assert accepted.node_errors == {}
    assert set(json.loads(accepted.document)["prompt"]) == {"1"}


def test_partial_targets_limit_the_outputs(rules: Rules) -> None:
    prompt = {"1": entry("Keep", value=1), "2": entry("Keep", value=99)}

    accepted = assess(prompt, ["1"], rules)

    assert isinstance(accepted, Accepted)
    assert accepted.outputs == ("1",)
    assert accepted.node_errors == {}
    refused = assess(prompt, [], rules)
    assert isinstance(refused, Refused)
    assert refused.error["type"] == "prompt_no_outputs"


def test_errors_of_the_output_nodes_themselves_are_listed_in_the_details(rules: Rules) -> None:
    refused = assess({"1": entry("Keep", value=-1), "2": entry("Keep")}, None, rules)

    assert isinstance(refused, Refused)
    assert (
        refused.error["details"] == "Value -1 smaller than min of 0: value\nRequired input is missing: value"
    )


@pytest.mark.parametrize(
    ("prompt", "kind", "message", "details"),
    [
        ({}, "prompt_no_outputs", "Prompt has no outputs", ""),
        ({"1": entry("Number")}, "prompt_no_outputs", "Prompt has no outputs", ""),
        (
            {"1": {"inputs": {}}},
            "invalid_prompt",
            "Cannot execute because a node is missing the class_type property.",
            "Node ID '#1'",
        ),
        (
            {"1": entry("Nowhere")},
            "invalid_prompt",
            "Cannot execute because node Nowhere does not exist.",
            "Node ID '#1'",
        ),
    ],
)
def test_faults_of_the_whole_prompt(rules: Rules, prompt: Any, kind: str, message: str, details: str) -> None:
    refused = assess(prompt, None, rules)

    assert isinstance(refused, Refused)
    assert refused.error == {"type": kind, "message": message, "details": details, "extra_info": {}}
    assert refused.node_errors == {}


def test_a_missing_input(rules: Rules) -> None:
    assert error_of(rules, entry("Open")) == {
        "type": "required_input_missing",
        "message": "Required input is missing",
        "details": "name",
        "extra_info": {"input_name": "name"},
    }


def test_a_bad_link(rules: Rules) -> None:
    assert error_of(rules, entry("Number", value=["1", 0, 2])) == {
        "type": "bad_linked_input",
        "message": "Bad linked input, must be a length-2 list of [node_id, slot_index]",
        "details": "value",
        "extra_info": {
            "input_name": "value",
            "input_config": ["INT", {"default": 0, "min": 0, "max": 100}],
            "received_value": ["1", 0, 2],
        },
    }


def test_a_link_to_a_node_that_does_not_exist(rules: Rules) -> None:
    error = error_of(rules, entry("Number", value=["99", 0]))

    assert error["type"] == "bad_linked_input"
    assert "99" in error["details"]


def test_a_link_of_another_type(rules: Rules) -> None:
    prompt = {"0": entry("Word"), "1": entry("Number", value=["0", 0]), "2": entry("Keep", value=["1", 0])}

    refused = assess(prompt, None, rules)

    assert isinstance(refused, Refused)
    (error,) = refused.node_errors["1"]["errors"]
    assert error == {
        "type": "return_type_mismatch",
        "message": "Return type mismatch between linked nodes",
        "details": "value, received_type(STRING) mismatch input_type(INT)",
        "extra_info": {
            "input_name": "value",
            "input_config": ["INT", {"default": 0, "min": 0, "max": 100}],
            "received_type": "STRING",
            "linked_node": ["0", 0],
        },
    }


def test_a_value_that_cannot_be_converted(rules: Rules) -> None:
    reason = "invalid literal for int() with base 10: 'many'"

    error = error_of(rules, entry("Number", value="many"))

    assert error["type"] == "invalid_input_type"
    assert error["message"] == "Failed to convert an input value to a INT value"
    assert error["details"] == f"value, many, {reason}"
    assert error["extra_info"]["exception_message"] == reason
    assert error["extra_info"]["received_value"] == "many"


def test_a_value_out_of_range(rules: Rules) -> None:
    small, large = error_of(rules, entry("Number", value=-3)), error_of(rules, entry("Number", value=101))

    assert (small["type"], small["message"]) == ("value_smaller_than_min", "Value -3 smaller than min of 0")
    assert (large["type"], large["message"]) == ("value_bigger_than_max", "Value 101 bigger than max of 100")
    assert small["details"] == large["details"] == "value"


def test_a_value_that_is_no_choice(rules: Rules) -> None:
    error = error_of(rules, entry("Choose", way="up"))

    assert error["type"] == "value_not_in_list"
    assert error["message"] == "Value not in list"
    assert error["details"] == "way: 'up' not in ['left', 'right']"
    assert error["extra_info"]["input_config"] == [["left", "right"], {"default": "left"}]


def test_a_file_that_is_not_there_does_not_list_many_others(rules: Rules) -> None:
    error = error_of(rules, entry("Open", name="mine.safetensors"))

    assert error["type"] == "value_not_in_list"
    assert error["details"] == "name: 'mine.safetensors' not in (list of length 21)"
    assert error["extra_info"]["input_config"] is None
    assert error["extra_info"]["received_value"] == "mine.safetensors"


def test_a_nodes_own_check_is_reported_for_each_input_that_it_took(rules: Rules) -> None:
    refused = assess({"1": entry("Pair", a=1, b=2), "2": entry("Keep", value=["1", 0])}, None, rules)

    assert isinstance(refused, Refused)
    errors = refused.node_errors["1"]["errors"]
    assert [error["type"] for error in errors] == ["custom_validation_failed"] * 2
    assert errors[0]["details"] == "a - they must sum up to an even number"
    assert errors[1]["extra_info"] == {"input_name": "b"}


def test_a_cycle_is_named(rules: Rules) -> None:
    prompt = {
        "1": entry("Number", value=["2", 0]),
        "2": entry("Number", value=["1", 0]),
        "3": entry("Keep", value=["2", 0]),
        "4": entry("Keep", value=1),
    }

    accepted = assess(prompt, None, rules)

    assert isinstance(accepted, Accepted)
    assert accepted.outputs == ("4",)
    (found,) = accepted.node_errors.values()
    assert found["errors"][0]["message"] == "Dependency cycle detected"
    assert found["dependent_outputs"] == ["3"]


def test_a_long_chain_is_no_difficulty(rules: Rules) -> None:
    prompt: dict[str, Any] = {"0": entry("Number", value=1)}
    for place in range(1, 3000):
        prompt[str(place)] = entry("Number", value=[str(place - 1), 0])
    prompt["end"] = entry("Keep", value=["2999", 0])
    prompt["bad"] = entry("Keep", value=11)

    accepted = assess(prompt, None, rules)

    assert isinstance(accepted, Accepted)
    assert accepted.outputs == ("end",)
