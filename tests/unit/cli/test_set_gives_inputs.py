"""`--set name=value` reads the text as the input's declared type says, for declared inputs and `node.input`."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.cli.conftest import CommandLine

WORKFLOW = {
    "graphcore": 1,
    "nodes": {
        "tell": {"type": "TaskTell", "inputs": {"text": "hi"}},
        "sum": {"type": "TaskSum", "inputs": {"values": [1, 2]}},
    },
    "inputs": {"prompt": {"node": "tell", "input": "text"}, "values": {"node": "sum", "input": "values"}},
    "outputs": {"sum": {"node": "sum"}},
}


def run(cli: CommandLine, *assignments: str) -> Any:
    """Run with assignments; the text told, and the sum."""
    pairs = [part for text in assignments for part in ("--set", text)]
    outcome = cli.run("run", "--json", cli.write("w.json", WORKFLOW), *pairs)
    assert outcome.code == 0, outcome.out
    return outcome.json["shown"]["tell"][0]["text"], outcome.json["outputs"]["sum"]


@pytest.mark.parametrize("text", ["a cat", "5", "true", '"quoted"', "a=b", "", "ünïcode 🎨", '{"a": 1}'])
def test_text_is_taken_as_it_is(cli: CommandLine, text: str) -> None:
    assert run(cli, f"prompt={text}") == (text, 3.0)


def test_numbers_lists_and_choices(cli: CommandLine) -> None:
    given = (
        "values=[1, 2, 3]",
        "sum.factor=0.5",
        "tell.style=loud",
        "tell.again=True",
        "tell.seed=18446744073709551615",
    )
    assert run(cli, *given) == ("HI", 3.0)


def test_the_last_one_wins(cli: CommandLine) -> None:
    assert run(cli, "prompt=one", "prompt=two")[0] == "two"


@pytest.mark.parametrize(
    ("assignment", "code"),
    [
        ("promt=x", "unknown-workflow-input"),
        ("tell.txt=x", "unknown-input"),
        ("sum.factor=many", "wrong-type"),
        ("tell.style=quiet", "not-a-choice"),
        ("tell.again=maybe", "wrong-type"),
    ],
)
def test_wrong_values_are_problems(cli: CommandLine, assignment: str, code: str) -> None:
    outcome = cli.run("run", "--json", cli.write("w.json", WORKFLOW), "--set", assignment)
    assert outcome.code == 2
    assert [problem["code"] for problem in outcome.json["error"]["problems"]] == [code]


def test_targets_run_only_what_they_need(cli: CommandLine) -> None:
    outcome = cli.run("run", "--json", cli.write("w.json", WORKFLOW), "--targets", "sum")
    assert [node["node"] for node in outcome.json["nodes"]] == ["sum"]


def test_unknown_target(cli: CommandLine) -> None:
    outcome = cli.run("run", cli.write("w.json", WORKFLOW), "--targets", "smu,tell")
    assert outcome.code == 2
    assert "smu" in outcome.err
