"""A server with packs written against comfy_api: described and run as ComfyUI does, by workers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from server.comfy.routes import comfy_routes
from tests.comfy_client import ComfyClient, messages
from tests.packs_shims.conftest import PACKS
from tests.packs_shims.loaded import PICTURE, node
from tests.served import Served, settings_in


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    settings = settings_in(
        tmp_path_factory.mktemp("served") / "data",
        packs=None,
        node_module=(),
        node_packs=(PACKS / "advanced", PACKS / "surroundings"),
        device=("cpu",),
    )
    with Served(settings, modules=(comfy_routes,)) as running:
        running.call(running.services.packs.settled(60))
        yield running


@pytest.fixture
def client(served: Served) -> Iterator[ComfyClient]:
    with ComfyClient(served) as connected:
        yield connected


def output_of(frames: Any, node_id: str) -> Any:
    (found,) = [data["output"] for data in messages(frames, "executed") if data["node"] == node_id]
    return found


def test_nodes_are_described(served: Served) -> None:
    info = served.get("/object_info").json
    assert info["V3Grow"]["input"]["required"]["images"][0] == "COMFY_AUTOGROW_V3"
    assert info["V3Switch"]["output_matchtypes"] == ["switch"]
    assert info["V3Brighten"]["python_module"] == "custom_nodes.advanced"


def test_dynamic_inputs_are_taken(client: ComfyClient) -> None:
    frames = client.run(
        {
            "1": node("V3Mode", mode="size", mode__width=64, mode__height=32),
            "2": node("PreviewAny", source=["1", 0]),
            "3": PICTURE,
            "4": node("V3Grow", images__image0=["3", 0], images__image1=["3", 0]),
            "5": node("V3Show", images=["4", 0]),
        }
    )
    assert output_of(frames, "2") == {"text": ["{'mode': 'size', 'width': 64, 'height': 32}"]}
    assert len(output_of(frames, "5")["images"]) == 2
    assert output_of(frames, "5")["animated"] == [False]


def test_inputs_of_a_choice_are_checked_before_the_run(served: Served) -> None:
    prompt = {
        "1": node("V3Mode", mode="size", mode__width=0, mode__height=32),
        "2": node("PreviewAny", source=["1", 0]),
    }
    answer = served.post("/prompt", {"prompt": prompt})
    assert answer.status == 400
    (error,) = answer.json["node_errors"]["1"]["errors"]
    assert (error["type"], error["extra_info"]["input_name"]) == ("value_smaller_than_min", "mode.width")


def test_missing_inputs_are_told_before_the_run(served: Served) -> None:
    prompt = {
        "1": PICTURE,
        "2": node("V3Grow", images__image0=["1", 0]),
        "3": node("V3Show", images=["2", 0]),
    }
    answer = served.post("/prompt", {"prompt": prompt})
    assert answer.status == 400
    (error,) = answer.json["node_errors"]["2"]["errors"]
    assert (error["type"], error["details"]) == ("required_input_missing", "images.image1")


def test_own_checks_are_asked(served: Served) -> None:
    answer = served.post("/prompt", {"prompt": {"1": node("V3Checked", width=513, prompt="x")}})
    assert answer.status == 400
    errors = answer.json["node_errors"]["1"]["errors"]
    assert {error["extra_info"]["input_name"] for error in errors} == {"width", "prompt"}
    assert {error["type"] for error in errors} == {"custom_validation_failed"}


def test_progress_texts_and_messages_reach_clients(client: ComfyClient) -> None:
    frames = client.run({"1": node("V3Steps", steps=2), "2": node("PreviewAny", source=["1", 0])})
    assert [(data["value"], data["max"]) for data in messages(frames, "progress")][-1] == (2, 2)
    frames = client.run({"1": node("PackTold", message="hello")})
    assert messages(frames, "surroundings.told") == [{"message": "hello", "node": "1"}]


def test_a_pack_may_interrupt_its_run(client: ComfyClient) -> None:
    frames = client.run(
        {"1": node("PackProgress", steps=3, how="interrupt"), "2": node("PreviewAny", source=["1", 0])}
    )
    assert messages(frames, "execution_interrupted")
    assert not messages(frames, "execution_error")


def test_output_nodes_of_packs_need_no_others(client: ComfyClient) -> None:
    frames = client.run({"1": node("V3Checked", width=512, prompt="a text")})
    assert output_of(frames, "1") == {"text": ["a text"]}
