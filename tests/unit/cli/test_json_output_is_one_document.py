"""With --json, standard output is one JSON document, whatever happens; with --json-events, one per line."""

from __future__ import annotations

import json

from tests.unit.cli.conftest import CommandLine

NODES = {
    "number": {"type": "TaskNumber", "inputs": {"value": 7}},
    "parts": {"type": "TaskSplit", "inputs": {"value": {"node": "number"}}},
    "count": {"type": "TaskCount", "inputs": {"steps": 3}},
    "tell": {"type": "TaskTell", "inputs": {"text": "hi"}},
}
WORKFLOW = {"graphcore": 1, "nodes": NODES, "outputs": {"large": {"node": "parts", "output": "large"}}}


def test_a_run_that_succeeds(cli: CommandLine) -> None:
    outcome = cli.run("run", "--json", cli.write("w.json", WORKFLOW))
    result = outcome.json
    assert (outcome.code, outcome.err) == (0, "")
    assert result["state"] == "succeeded"
    assert result["outputs"] == {"large": 4}
    assert result["shown"] == {"tell": [{"kind": "text", "text": "hi"}]}
    assert {node["node"] for node in result["nodes"]} == set(NODES)
    assert result["error"] is None


def test_a_run_that_fails(cli: CommandLine) -> None:
    workflow = {"graphcore": 1, "nodes": {"bad": {"type": "TaskFail", "inputs": {"message": "no"}}}}
    outcome = cli.run("run", "--json", cli.write("w.json", workflow))
    result = outcome.json
    assert (outcome.code, result["state"]) == (3, "failed")
    assert result["error"]["node"] == "bad"
    assert result["errors"]["bad"]["inputs"] == {"message": "'no'"}


def test_an_invalid_workflow(cli: CommandLine) -> None:
    workflow = {"graphcore": 1, "nodes": {"n": {"type": "TaskNumber", "inputs": {"valeu": 1}}}}
    file = cli.write("w.json", workflow)
    run, checked = cli.run("run", "--json", file), cli.run("validate", "--json", file)
    assert (run.code, checked.code) == (2, 2)
    assert run.json["state"] == checked.json["state"] == "invalid"
    assert run.json["error"]["problems"] == checked.json["problems"]
    problem = checked.json["problems"][0]
    assert (problem["code"], problem["pointer"], problem["nearest"]) == (
        "unknown-input",
        "/nodes/n/inputs/valeu",
        "value",
    )


def test_bytes_that_are_no_workflow(cli: CommandLine) -> None:
    outcome = cli.run("validate", "--json", "-", stdin=b"{")
    assert (outcome.code, outcome.json["error"]["code"]) == (2, "not-json")


def test_a_valid_workflow(cli: CommandLine) -> None:
    outcome = cli.run("validate", "--json", cli.write("w.json", WORKFLOW))
    assert (outcome.code, outcome.json) == (0, {"state": "valid", "nodes": 4, "problems": []})


def test_events_are_numbered_lines_that_end_with_the_result(cli: CommandLine) -> None:
    outcome = cli.run("run", "--json-events", cli.write("w.json", WORKFLOW))
    events = [json.loads(line) for line in outcome.out.splitlines()]
    assert [event["number"] for event in events[:-1]] == list(range(len(events) - 1))
    assert events[0]["event"] == "run-started"
    assert events[-2]["event"] == "run-finished"
    assert (events[-1]["event"], events[-1]["outputs"]) == ("result", {"large": 4})
    assert [event["done"] for event in events if event["event"] == "node-progress"] == [1, 2, 3]


def test_node_listings(cli: CommandLine) -> None:
    everything, one = cli.run("nodes", "--json"), cli.run("nodes", "TaskInteger", "--json")
    assert {"TaskNumber", "KSampler", "LoadCheckpoint"} <= {node["name"] for node in everything.json}
    assert one.json["name"] == "TaskNumber"
    assert one.json["comfy_names"] == ["TaskInteger"]
    assert one.json["inputs"] == [
        {"name": "value", "type": "INT", "required": False, "default": 1, "minimum": 0, "maximum": 1000}
    ]
    assert one.json["object_info"]["input"]["required"]["value"] == [
        "INT",
        {"default": 1, "min": 0, "max": 1000},
    ]


def test_model_listings(cli: CommandLine) -> None:
    folder = cli.folder / "models" / "loras" / "style"
    folder.mkdir(parents=True)
    (folder / "ink.safetensors").write_bytes(b"12345678")
    (folder / "refused.ckpt").write_bytes(b"1")
    listed = {model["name"]: model for model in cli.run("models", "loras", "--json", "--digest").json}
    assert set(listed) == {"scenes-teal.safetensors", "style/ink.safetensors"}
    assert listed["style/ink.safetensors"]["bytes"] == 8
    digest = listed["style/ink.safetensors"]["digest"]
    assert digest == "sha256:ef797c8118f02dfb649607dd5d3f8c7623048c9c063d532cc95c5ed7a898a64f"
