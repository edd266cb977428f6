"""A server with packs: their nodes, checks, scripts and messages reach clients; their code stays in workers."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from server.comfy.routes import comfy_routes
from tests.comfy_client import ComfyClient, messages
from tests.packs_nodes.conftest import PACKS
from tests.packs_nodes.prompts import node, shown
from tests.served import Served, settings_in


def pack_modules() -> list[str]:
    return [name for name in sys.modules if name.startswith("graphcore_pack_")]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served")
    for name in pack_modules():
        del sys.modules[name]
    shelf = folder / "shelf"
    shelf.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BASICS_FOLDER", str(shelf))
        settings = settings_in(
            folder / "data", packs=None, node_module=(), node_packs=(PACKS,), device=("cpu",)
        )
        with Served(settings, modules=(comfy_routes,)) as running:
            running.call(running.services.packs.settled(60))
            yield running


@pytest.fixture
def client(served: Served) -> Iterator[ComfyClient]:
    with ComfyClient(served) as connected:
        yield connected


def test_the_nodes_are_described_and_the_packs_reported(served: Served) -> None:
    info = served.get("/object_info").json
    assert info["BasicsWidgets"]["display_name"] == "Every Widget"
    assert info["SingleFile"]["category"] == "sd"
    assert info["SaveImage"]["python_module"] != "custom_nodes.basics"
    listed = served.get("/api/v1/nodes").json
    reports = {report["name"]: report for report in listed["packs"]}
    assert "BasicsSum" in listed["nodes"]
    assert reports["broken_import"]["error"].startswith("ModuleNotFoundError")
    assert reports["basics"]["left_out"] == {"SaveImage": "this project has a node of this name"}


def test_no_code_of_a_pack_is_in_the_servers_process(served: Served) -> None:
    served.get("/object_info")
    assert not pack_modules()


def test_a_refused_input_is_answered_as_comfyui_does(served: Served) -> None:
    answer = served.post("/prompt", {"prompt": {"1": node("BasicsChecked", a=77, b=1)}})
    assert answer.status == 400
    (error,) = answer.json["node_errors"]["1"]["errors"]
    assert error == {
        "type": "custom_validation_failed",
        "message": "Custom validation failed for node",
        "details": "a - 77 is not allowed",
        "extra_info": {"input_name": "a"},
    }
    answer = served.post("/prompt", {"prompt": {"1": node("BasicsChecked", a=66, b=9)}})
    (error,) = answer.json["node_errors"]["1"]["errors"]
    assert error["type"] == "value_bigger_than_max"
    assert error["extra_info"]["input_config"] == ["INT", {"min": 0, "max": 5}]


def test_a_mismatch_of_types_is_answered_as_comfyui_does(served: Served) -> None:
    prompt = {
        "1": node("BasicsIsTwo", value=2),
        "2": node("Basics Number", value=["1", 0]),
        "3": shown(["2", 0]),
    }
    answer = served.post("/prompt", {"prompt": prompt})
    (error,) = answer.json["node_errors"]["2"]["errors"]
    assert error["type"] == "return_type_mismatch"
    assert error["details"] == "value, received_type(BOOLEAN) mismatch input_type(INT)"


def test_choices_are_those_of_the_moment(served: Served, client: ComfyClient) -> None:
    shelf = served.settings.data_dir.parent / "shelf"
    prompt: dict[str, Any] = {"1": node("BasicsFolderChoice", file="later.png")}
    answer = client.post(prompt)
    assert answer.json["node_errors"]["1"]["errors"][0]["type"] == "value_not_in_list"
    (shelf / "later.png").touch()
    frames = client.run(prompt)
    assert messages(frames, "executed")[0]["output"] == {"text": ["later.png"]}
    assert served.get("/object_info/BasicsFolderChoice").json["BasicsFolderChoice"]["input"]["required"][
        "file"
    ][0] == ["later.png"]


def test_expanded_nodes_are_told_with_their_parents(client: ComfyClient, served: Served) -> None:
    prompt = {"7": node("BasicsCountdown", left=1, total=5), "8": shown(["7", 0])}
    prompt_id = client.queue(prompt)
    frames = client.until_done(prompt_id)
    executing = [(data["node"], data.get("display_node")) for data in messages(frames, "executing")]
    assert executing == [("7", "7"), ("7.0.0.1", "7"), ("7.0.0.2", "7"), ("8", "8"), (None, None)]
    assert served.get(f"/history/{prompt_id}").json[prompt_id]["outputs"]["8"] == {
        "text": ["6"],
        "nothing": [],
    }


def test_cached_results_are_shown_again(client: ComfyClient) -> None:
    prompt = {"1": node("Basics Number", value=9), "2": shown(["1", 0])}
    client.run(prompt)
    frames = client.run(prompt)
    assert messages(frames, "execution_cached")[0]["nodes"] == ["1", "2"]
    assert messages(frames, "executed")[0]["output"] == {"text": ["9"], "nothing": []}
    assert [data["node"] for data in messages(frames, "executing")] == [None]


def test_a_blockers_message_is_told_and_the_run_goes_on(client: ComfyClient) -> None:
    prompt = {
        "1": node("BasicsBlock", value=1, block=True, message="closed"),
        "2": node("BasicsSum", a=["1", 0]),
        "3": shown(["2", 0]),
    }
    frames = client.run(prompt)
    (error,) = messages(frames, "execution_error")
    assert error["exception_type"] == "ExecutionBlocked"
    assert error["exception_message"] == "Execution Blocked: closed"
    assert (error["node_id"], error["node_type"]) == ("2", "BasicsSum")
    assert messages(frames, "execution_success")


def test_a_failure_and_a_circle_are_told_as_comfyui_does(client: ComfyClient) -> None:
    frames = client.run({"1": node("BasicsFails", value=3), "2": shown(["1", 0])})
    (error,) = messages(frames, "execution_error")
    assert (error["node_id"], error["node_type"], error["exception_type"]) == ("1", "BasicsFails", "KeyError")
    frames = client.run({"1": node("BasicsCircle", value=3), "2": shown(["1", 0])})
    (error,) = messages(frames, "execution_error")
    assert error["exception_type"] == "graph.DependencyCycleError"
    assert error["exception_message"] == "Dependency cycle detected\n"


def test_the_scripts_of_packs_are_listed_and_sent_and_nothing_else(served: Served) -> None:
    assert served.get("/extensions").json == ["/extensions/basics/basics.js"]
    for place in ("/extensions", "/api/extensions", "/editor/extensions"):
        answer = served.get(f"{place}/basics/basics.js")
        assert answer.status == 200
        assert answer.headers["Content-Type"].startswith("text/javascript")
    for name in ("basics/../__init__.py", "basics/%2e%2e/__init__.py", "single_file/x.js", "nobody/x.js"):
        assert served.get(f"/extensions/{name}").status == 404


def test_native_workflows_may_use_packs_too(served: Served) -> None:
    workflow = {
        "graphcore": 1,
        "nodes": {"n": {"type": "Basics Number", "inputs": {"value": 3}}},
        "outputs": {"number": {"node": "n", "output": "INT"}},
    }
    assert served.finished(served.submit(workflow))["values"] == {"number": 3}


def test_what_a_pack_says_reaches_clients(served: Served, client: ComfyClient) -> None:
    prompt = {"1": node("BasicsSays", text="hello"), "2": shown(["1", 0])}
    frames = client.run(prompt)
    assert messages(frames, "basics-said") == [{"text": "hello"}]


def test_the_routes_of_packs_are_answered_by_the_worker(served: Served) -> None:
    for prefix in ("", "/api", "/editor/api"):
        answer = served.get(f"{prefix}/basics/hello/you?a=1")
        assert (answer.status, answer.json) == (200, {"hello": "you", "query": {"a": "1"}})
    answer = served.post("/basics/echo", b"loud", {"Content-Type": "text/plain"})
    assert (answer.status, answer.body) == (201, b"LOUD")
    assert served.get("/basics/other").status == 404
    assert served.get("/basics/hello/you", Host="evil.example").status in (403, 421)


def test_a_worker_that_dies_comes_back_with_its_packs(served: Served, client: ComfyClient) -> None:
    served.call(served.services.jobs.dispatcher.slots[0].worker.stop())
    frames = client.run({"1": node("Basics Number", value=4), "2": shown(["1", 0])})
    assert messages(frames, "executed")[0]["output"]["text"] == ["4"]
    assert served.post("/prompt", {"prompt": {"1": node("BasicsChecked", a=77, b=1)}}).status == 400


def test_a_server_without_packs_has_no_such_nodes(tmp_path: Path) -> None:
    with Served(settings_in(tmp_path), modules=(comfy_routes,)) as running:
        assert running.get("/extensions").json == []
        assert running.get("/api/v1/nodes").json["packs"] == []
        assert running.get("/object_info/BasicsSum").json == {}
