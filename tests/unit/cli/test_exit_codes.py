"""Commands end with 0 when done, 2 for an invalid workflow or command line, 3 for a failed run."""

from __future__ import annotations

import pytest

from tests.unit.cli.conftest import CommandLine


def test_done(cli: CommandLine) -> None:
    file = cli.write(
        "w.json", {"graphcore": 1, "nodes": {"tell": {"type": "TaskTell", "inputs": {"text": "hi"}}}}
    )
    outcome = cli.run("run", file)
    assert (outcome.code, outcome.out) == (0, "hi\n")
    assert "succeeded: 1 node run" in outcome.err


def test_invalid_workflow_lists_every_problem(cli: CommandLine) -> None:
    nodes = {
        "a": {"type": "TaskNumber", "inputs": {"value": 7000}},
        "b": {"type": "TaskTel", "inputs": {}},
        "c": {"type": "TaskTell", "inputs": {"text": 8, "style": "plan"}},
    }
    outcome = cli.run("run", cli.write("w.json", {"graphcore": 1, "nodes": nodes}))
    assert outcome.code == 2
    assert outcome.out == ""
    assert "the workflow has 4 problems" in outcome.err
    for expected in (
        "did you mean 'TaskTell'",
        "did you mean 'plain'",
        "/nodes/a/inputs/value",
        "/nodes/c/inputs/text",
    ):
        assert expected in outcome.err


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[1]", b"\xff\xfe", b'{"graphcore": 2, "nodes": {}}', b"[" * 100_000, b'{"a": NaN}']
)
def test_bytes_that_are_no_workflow_are_told_in_a_sentence(cli: CommandLine, data: bytes) -> None:
    outcome = cli.run("run", "-", stdin=data)
    assert outcome.code == 2
    assert outcome.err.startswith("error: ")
    assert "Traceback" not in outcome.err


def test_missing_file(cli: CommandLine) -> None:
    outcome = cli.run("run", "nothing.json")
    assert outcome.code == 2
    assert "'nothing.json' cannot be read" in outcome.err


def test_failed_run_names_the_node_and_its_inputs_and_keeps_other_results(cli: CommandLine) -> None:
    nodes = {
        "bad": {"type": "TaskFail", "inputs": {"message": "out of cheese"}},
        "good": {"type": "TaskTell", "inputs": {"text": "still here"}},
    }
    outcome = cli.run("run", cli.write("w.json", {"graphcore": 1, "nodes": nodes}))
    assert (outcome.code, outcome.out) == (3, "still here\n")
    assert "out of cheese" in outcome.err
    assert "bad (TaskFail)" in outcome.err
    assert "Traceback" not in outcome.err


def test_failed_run_shows_its_traceback_on_request(cli: CommandLine) -> None:
    nodes = {"bad": {"type": "TaskFail"}}
    outcome = cli.run("run", "--traceback", cli.write("w.json", {"graphcore": 1, "nodes": nodes}))
    assert outcome.code == 3
    assert "Traceback (most recent call last)" in outcome.err
    assert "ValueError: as asked" in outcome.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["ran"],
        ["run"],
        ["run", "w.json", "--models-dir", "nowhere"],
        ["run", "w.json", "--set", "x"],
        ["--no"],
    ],
)
def test_a_wrong_command_line_is_told_with_code_2(cli: CommandLine, arguments: list[str]) -> None:
    cli.write("w.json", {"graphcore": 1, "nodes": {"tell": {"type": "TaskTell"}}})
    outcome = cli.run(*arguments)
    assert outcome.code == 2
    assert "Usage: graphcore" in outcome.err
    assert "Traceback" not in outcome.err
