"""The server takes workflows as people have them: UI graphs, prompts, pictures, A1111's parameters."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from server.comfy.routes import comfy_routes
from tests.served import Served, entry, link, native, settings_in

OCTETS = {"Content-Type": "application/octet-stream"}


def graph(value: int = 7) -> dict[str, Any]:
    """A number and its report, as an editor of 2025 saves them: the number is in a subgraph."""
    inner = {
        "id": "4a3c1c50-7c0b-4ce5-9d53-6f27b8d4d2a1",
        "name": "A number",
        "nodes": [{"id": 1, "type": "Number", "mode": 0, "widgets_values": [value], "outputs": []}],
        "links": [
            {"id": 1, "origin_id": 1, "origin_slot": 0, "target_id": -20, "target_slot": 0, "type": "INT"}
        ],
        "inputs": [],
        "outputs": [{"name": "INT", "type": "INT", "linkIds": [1]}],
    }
    return {
        "last_node_id": 5,
        "nodes": [
            {"id": 4, "type": inner["id"], "mode": 0, "outputs": [{"name": "INT", "type": "INT"}]},
            {"id": 5, "type": "Report", "mode": 0, "inputs": [{"name": "value", "type": "INT", "link": 9}]},
            {"id": 6, "type": "Note", "widgets_values": ["just words"]},
        ],
        "links": [[9, 4, 0, 5, 0, "INT"]],
        "definitions": {"subgraphs": [inner]},
        "version": 0.4,
    }


PROMPT = {
    "1": {"class_type": "Number", "inputs": {"value": 7}},
    "2": {"class_type": "Report", "inputs": {"value": ["1", 0]}},
}
NATIVE = native(a=entry("Number", value=7), b=entry("Report", value=link("a")))


def picture(kind: str, **texts: object) -> bytes:
    """A picture that carries texts."""
    target = io.BytesIO()
    small = Image.new("RGB", (8, 8))
    written = {name: value if isinstance(value, str) else json.dumps(value) for name, value in texts.items()}
    if kind == "PNG":
        info = PngInfo()
        for name, text in written.items():
            info.add_text(name, text)
        small.save(target, kind, pnginfo=info)
    else:
        exif = Image.Exif()
        for place, (name, text) in enumerate(written.items()):
            exif[0x0110 - place] = f"{name}:{text}"
        small.save(target, kind, exif=exif)
    return target.getvalue()


def test_a_graph_runs(served: Served) -> None:
    assert served.finished(served.submit(graph(12)))["shown"] == {"5": [{"kind": "text", "text": "12"}]}


@pytest.mark.parametrize("workflow", [graph(), PROMPT, {"prompt": PROMPT}, NATIVE])
def test_every_format_is_validated(served: Served, workflow: dict[str, Any]) -> None:
    answer = served.post("/api/v1/validate", {"workflow": workflow})
    assert answer.json == {"valid": True, "nodes": 2, "problems": []}


def test_problems_of_a_graph_are_all_told(served: Served) -> None:
    broken = graph()
    broken["nodes"] += [
        {"id": 8, "type": "Fancy", "properties": {"cnr_id": "fancy"}},
        {"id": 9, "type": "Other"},
    ]
    answer = served.post("/api/v1/validate", {"workflow": broken})
    assert answer.json["valid"] is False
    assert [(problem["code"], problem["got"]) for problem in answer.json["problems"]] == [
        ("missing-node-class", "Fancy"),
        ("missing-node-class", "Other"),
    ]
    assert "fancy" in answer.json["problems"][0]["message"]
    assert served.post("/api/v1/runs", {"workflow": broken}).status == 422
    del broken["links"][0][4]
    assert served.post("/api/v1/runs", {"workflow": broken}).code == "bad-ui-graph"


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (picture("PNG", workflow=graph()), "comfy-ui"),
        (picture("PNG", workflow=graph(), prompt=PROMPT), "comfy-api"),
        (picture("WEBP", prompt=PROMPT), "comfy-api"),
        (picture("JPEG", workflow=graph()), "comfy-ui"),
        (
            picture("PNG", prompt='{"1": {"class_type": "Number", "inputs": {}, "is_changed": [NaN]}}'),
            "comfy-api",
        ),
        (json.dumps(graph()).encode(), "comfy-ui"),
        (json.dumps(NATIVE).encode(), "native"),
        (b"a fox\nNegative prompt: blurry\nSteps: 5, Sampler: Euler, Model: m", "comfy-api"),
        (picture("PNG", parameters="a fox\nSteps: 5, Model: m"), "comfy-api"),
    ],
)
def test_a_file_is_read_as_what_can_be_submitted(served: Served, data: bytes, kind: str) -> None:
    answer = served.post("/api/v1/read", data, OCTETS)
    assert (answer.status, answer.json["format"]) == (200, kind), answer.body
    known = "class_type" not in json.dumps(answer.json["workflow"]) or kind == "comfy-api"
    assert known
    if b"fox" not in data:
        assert served.post("/api/v1/validate", {"workflow": answer.json["workflow"]}).status == 200


def test_a_picture_is_read_and_run(served: Served) -> None:
    found = served.post("/api/v1/read", picture("PNG", workflow=graph(31)), OCTETS).json["workflow"]
    assert served.finished(served.submit(found))["shown"] == {"5": [{"kind": "text", "text": "31"}]}


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (b"", 400, "not-json"),
        (b"{}", 400, "unknown-shape"),
        (b"a fox in the snow", 400, "not-json"),
        (picture("PNG"), 422, "no-workflow-in-picture"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 20, 422, "no-workflow-in-picture"),
    ],
)
def test_a_file_without_a_workflow_is_refused(served: Served, data: bytes, status: int, code: str) -> None:
    answer = served.post("/api/v1/read", data, OCTETS)
    assert (answer.status, answer.code) == (status, code), answer.body


def test_a_comfyui_client_is_told_that_a_graph_is_no_prompt(tmp_path: Any) -> None:
    with Served(settings_in(tmp_path), modules=(comfy_routes,)) as server:
        server.ready()
        answer = server.post("/prompt", {"prompt": graph(), "client_id": "x"})
        assert answer.status == 400
        assert answer.json["node_errors"] == {}
        error = answer.json["error"]
        assert error["type"] == "invalid_prompt"
        assert "Export (API)" in error["message"]
        assert set(error) == {"type", "message", "details", "extra_info"}
