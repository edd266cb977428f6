"""Every route of ComfyUI's protocol answers at both of its places, with the status and the shape that clients know."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.comfy_client import ComfyClient, picture_prompt, step
from tests.served import Served

GETS: dict[str, tuple[int, Any]] = {
    "/prompt": (200, {"exec_info": dict}),
    "/queue": (200, {"queue_running": list, "queue_pending": list}),
    "/history": (200, dict),
    "/history?max_items=2": (200, dict),
    "/history?max_items=2&offset=1": (200, dict),
    "/history?max_items=-1&offset=-1": (200, dict),
    "/history/unknown": (200, {}),
    "/jobs": (
        200,
        {"jobs": list, "pagination": {"offset": int, "limit": object, "total": int, "has_more": bool}},
    ),
    "/jobs?status=in_progress,pending&limit=5&offset=0": (200, {"jobs": list, "pagination": dict}),
    "/jobs?status=completed,failed,cancelled&sort_by=execution_duration&sort_order=asc": (
        200,
        {"jobs": list},
    ),
    "/jobs?status=lost": (400, {"error": str}),
    "/jobs/unknown": (404, {"error": "Job not found"}),
    "/object_info": (200, dict),
    "/object_info/SaveImage": (200, {"SaveImage": dict}),
    "/object_info/unknown": (200, {}),
    "/models": (200, list),
    "/models/checkpoints": (200, list),
    "/models/unknown": (404, dict),
    "/embeddings": (200, list),
    "/view_metadata/checkpoints?filename=unknown.safetensors": (404, dict),
    "/experiment/models": (200, list),
    "/experiment/models/checkpoints": (200, list),
    "/experiment/models/unknown": (404, dict),
    "/experiment/models/preview/checkpoints/0/unknown.safetensors": (404, dict),
    "/extensions": (200, []),
    "/features": (200, {"supports_preview_metadata": True, "max_upload_size": int}),
    "/system_stats": (200, {"system": dict, "devices": list}),
    "/workflow_templates": (200, {}),
    "/i18n": (200, {}),
    "/global_subgraphs": (200, {}),
    "/global_subgraphs/unknown": (404, dict),
    "/node_replacements": (200, {}),
    "/view?filename=unknown.png": (404, dict),
    "/view?filename=../x.png": (400, dict),
    "/view?filename=x.png&type=unknown": (400, dict),
    "/view?filename=x.png&subfolder=../..": (403, dict),
    "/view": (400, dict),
    "/userdata?dir=unknown": (404, dict),
    "/userdata?dir=": (400, dict),
    "/userdata?dir=..": (403, dict),
    "/v2/userdata": (200, list),
    "/v2/userdata?path=unknown": (404, dict),
    "/userdata/unknown.json": (404, dict),
    "/users": (200, {"storage": "server", "migrated": bool}),
    "/settings": (200, dict),
    "/settings/unknown": (200, None),
}
ONCE: dict[str, tuple[int, Any]] = {
    "/internal/logs": (200, str),
    "/internal/logs/raw": (200, {"entries": list, "size": {"cols": int, "rows": int}}),
    "/internal/folder_paths": (200, dict),
    "/internal/files/output": (200, list),
    "/internal/files/unknown": (400, dict),
}
POSTS: dict[str, tuple[object, int, Any]] = {
    "/prompt": ({}, 400, {"error": {"type": "no_prompt"}, "node_errors": {}}),
    "/queue": ({"delete": ["unknown"]}, 200, None),
    "/history": ({"delete": ["unknown"]}, 200, None),
    "/interrupt": ({}, 200, None),
    "/free": ({"unload_models": False, "free_memory": False}, 200, None),
    "/jobs/cancel": ({"job_ids": []}, 200, {"cancelled": []}),
    "/jobs/unknown/cancel": ({}, 404, {"error": "Job not found"}),
    "/settings": ({"a": 1}, 200, None),
    "/settings/b": ("text", 200, None),
    "/users": ({"username": "x"}, 400, {"error": str}),
    "/upload/image": ({}, 400, dict),
    "/upload/mask": ({}, 400, dict),
    "/userdata/unknown/move/other": ({}, 404, dict),
}


def fits(value: Any, shape: Any) -> bool:
    """True if a value is of a type, equal to a constant, or has at least the members of an object."""
    if isinstance(shape, type):
        return isinstance(value, shape)
    if isinstance(shape, dict) and shape:
        return isinstance(value, dict) and all(
            name in value and fits(value[name], held) for name, held in shape.items()
        )
    return bool(value == shape)


@pytest.mark.parametrize("prefix", ["", "/api", "/editor/api"])
def test_what_is_asked_for(served: Served, prefix: str) -> None:
    for path, (status, shape) in GETS.items():
        answer = served.get(f"{prefix}{path}")
        assert answer.status == status, path
        assert answer.headers["Content-Type"].startswith("application/json"), path
        assert fits(answer.json, shape), (path, answer.json)


def test_what_is_at_one_place_alone(served: Served) -> None:
    for path, (status, shape) in ONCE.items():
        answer = served.get(path)
        assert answer.status == status, path
        assert fits(answer.json, shape), (path, answer.json)


@pytest.mark.parametrize(
    "kind", ["application/json", "text/plain;charset=UTF-8", "application/x-www-form-urlencoded"]
)
@pytest.mark.parametrize("prefix", ["", "/api"])
def test_what_is_changed(served: Served, prefix: str, kind: str) -> None:
    for path, (body, status, shape) in POSTS.items():
        answer = served.post(f"{prefix}{path}", json.dumps(body).encode(), {"Content-Type": kind})
        assert answer.status == status, (path, answer.body)
        assert answer.body == b"" if shape is None else fits(answer.json, shape), (path, answer.body)


def test_heads_are_answered_without_bodies(served: Served) -> None:
    for path, (status, _) in GETS.items():
        answer = served.request("HEAD", path)
        assert (answer.status, answer.body) == (status, b""), path
    assert served.request("HEAD", "/ws").status in (400, 426)


def test_unknown_parameters_are_ignored_everywhere(served: Served) -> None:
    for path, (status, _) in GETS.items():
        joint = "&" if "?" in path else "?"
        assert served.get(f"{path}{joint}clientId=me&rand=0.5&t=now").status == status, path


def test_a_queue_item_and_a_history_entry_have_every_field(served: Served) -> None:
    with ComfyClient(served, "fields") as client:
        prompt_id = client.queue(picture_prompt(3), extra_data={"extra_pnginfo": {"workflow": {"id": "w"}}})
        client.until_done(prompt_id)

    entry = served.get(f"/history/{prompt_id}").json[prompt_id]
    number, told_id, prompt, extra, outputs = entry["prompt"]
    assert isinstance(number, int)
    assert told_id == prompt_id
    assert prompt == picture_prompt(3)
    assert extra["client_id"] == "fields"
    assert extra["extra_pnginfo"] == {"workflow": {"id": "w"}}
    assert extra["create_time"] > 10**12
    assert outputs == ["2"]
    assert set(entry["outputs"]["2"]["images"][0]) == {"filename", "subfolder", "type"}
    assert entry["status"]["status_str"] == "success"
    assert entry["status"]["completed"] is True
    assert [kind for kind, _ in entry["status"]["messages"]] == [
        "execution_start",
        "execution_cached",
        "execution_success",
    ]
    assert all(
        data["timestamp"] > 10**12 and data["prompt_id"] == prompt_id
        for _, data in entry["status"]["messages"]
    )
    assert entry["meta"]["2"] == {
        "node_id": "2",
        "display_node": "2",
        "parent_node": None,
        "real_node_id": "2",
    }


def test_numbers_order_the_queue_and_front_goes_first(served: Served) -> None:
    with ComfyClient(served, "orders") as client:
        first = client.queue({"3": step("Steps", count=200, pause=0.01)})
        late = client.post(picture_prompt(11), number=10**6).json
        front = client.post(picture_prompt(12), front=True).json
        named = client.post(picture_prompt(13), prompt_id="chosen", number=-2.5).json
        waiting = [item[1] for item in served.get("/queue").json["queue_pending"]]
        client.until_done(late["prompt_id"])

    assert late["number"] == 10**6
    assert front["number"] < 0
    assert named == {"prompt_id": "chosen", "number": -2.5, "node_errors": {}}
    order = [prompt for prompt in waiting if prompt != first]
    assert order == [front["prompt_id"], "chosen", late["prompt_id"]]


@pytest.mark.parametrize(
    "body",
    [
        {"prompt": []},
        {"prompt": None},
        {"prompt": "text"},
        {"prompt": {}},
        {"prompt": {"1": {}}},
        {"prompt": {"1": {"class_type": None}}},
        {"prompt": {"1": []}},
        {"prompt": {"1": {"class_type": "Nowhere", "inputs": {}}}},
        {"prompt": {"1": {"class_type": "Number", "inputs": {}}}},
        {"prompt": {"1": {"class_type": "Fail"}}, "partial_execution_targets": []},
        {"prompt": {"1": {"class_type": "Fail"}}, "number": "first"},
        {"prompt": {"1": {"class_type": "Fail"}}, "number": "nan"},
        {"prompt": {"1": {"class_type": "Fail"}}, "prompt_id": "x" * 1000},
        {"prompt": {"1": {"class_type": "Fail", "inputs": []}}},
    ],
)
def test_a_prompt_that_cannot_be_taken_says_so_in_comfyuis_shape(served: Served, body: Any) -> None:
    answer = served.post("/prompt", body)

    assert answer.status == 400, answer.body
    assert set(answer.json) == {"error", "node_errors"}
    assert set(answer.json["error"]) == {"type", "message", "details", "extra_info"}
    assert all(isinstance(answer.json["error"][name], str) for name in ("type", "message", "details"))
