"""F1, F10: whatever JSON, query or path ComfyUI's routes are sent, they answer or refuse, and never fail."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.comfy.routes import comfy_routes
from tests.served import Served, settings_in

QUICKLY = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
TEXTS = st.text(max_size=12) | st.sampled_from(
    [
        "",
        "1",
        "__proto__",
        "../..",
        "\\0",
        "%2e%2e",
        "Number",
        "Sum",
        "SaveImage",
        "default",
        "null",
        "é" * 300,
    ]
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=True, allow_infinity=True)
    | TEXTS
    | st.sampled_from([["1", 0], ["1", -1], ["1", 1.5], [1, 0], ["1"], ["nowhere", 0], {"__value__": [1]}])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=8,
)
NODES = st.fixed_dictionaries(
    {},
    optional={
        "class_type": st.sampled_from(["Number", "Sum", "Report", "MakePicture", "SaveImage", "Nowhere"])
        | SCALARS,
        "inputs": st.dictionaries(
            st.sampled_from(["value", "a", "b", "images", "level", "text", "other"]), VALUES, max_size=4
        )
        | SCALARS,
        "_meta": VALUES,
        "is_changed": VALUES,
    },
)
PROMPTS = (
    st.dictionaries(st.sampled_from(["1", "2", "3", "", "1:2", "é"]), NODES | SCALARS, max_size=4) | VALUES
)
BODIES = st.fixed_dictionaries(
    {"prompt": PROMPTS},
    optional=dict.fromkeys(
        ("client_id", "prompt_id", "number", "front", "extra_data", "partial_execution_targets"), VALUES
    ),
)


@pytest.fixture(scope="module")
def comfy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with Served(settings_in(tmp_path_factory.mktemp("comfy")), modules=(comfy_routes,)) as server:
        yield server.ready()


def sent(server: Served, method: str, path: str, body: Any = None) -> int:
    data = json.dumps(body).encode() if body is not None else b""
    answer = server.request(method, path, data, {"Content-Type": "application/json"})
    assert answer.status < 500 or answer.status == 507, (path, body, answer.status, answer.body)
    return answer.status


@QUICKLY
@given(body=BODIES)
def test_prompts(comfy: Served, body: dict[str, Any]) -> None:
    status = sent(comfy, "POST", "/prompt", body)
    assert status in (200, 400)
    for path in ("/queue", "/history?max_items=3", "/api/jobs?limit=3"):
        assert sent(comfy, "GET", path) == 200


@pytest.mark.parametrize(
    "path",
    [
        "/queue",
        "/history",
        "/interrupt",
        "/free",
        "/jobs/cancel",
        "/settings",
        "/settings/x",
        "/users",
        "/internal/logs/subscribe",
    ],
)
@QUICKLY
@given(
    body=VALUES
    | st.fixed_dictionaries(
        {},
        optional=dict.fromkeys(
            ("clear", "delete", "prompt_id", "job_ids", "unload_models", "clientId", "enabled"), VALUES
        ),
    )
)
def test_changes(comfy: Served, path: str, body: Any) -> None:
    sent(comfy, "PATCH" if path.endswith("subscribe") else "POST", path, body)


@QUICKLY
@given(first=TEXTS, second=TEXTS, third=TEXTS)
def test_paths_and_queries(comfy: Served, first: str, second: str, third: str) -> None:
    a, b, c = (quote(text, safe="") or "-" for text in (first, second, third))
    for path in (
        f"/view?filename={a}&subfolder={b}&type={c}&preview={b}&channel={c}",
        f"/userdata?dir={a}&recurse={b}&full_info={c}&split=true",
        f"/v2/userdata?path={a}",
        f"/userdata/{a}",
        f"/models/{a}",
        f"/experiment/models/{a}",
        f"/experiment/models/preview/{a}/{b}/{c}",
        f"/view_metadata/{a}?filename={b}",
        f"/object_info/{a}",
        f"/history/{a}",
        f"/history?max_items={a}&offset={b}",
        f"/api/jobs?status={a}&sort_by={b}&limit={c}",
        f"/api/jobs/{a}",
        f"/settings/{a}",
        f"/internal/files/{a}",
        f"/extensions/{a}/{b}",
        f"/editor/{a}",
    ):
        sent(comfy, "GET", path)


@QUICKLY
@given(name=TEXTS, target=TEXTS, data=st.binary(max_size=64))
def test_files_of_users(comfy: Served, name: str, target: str, data: bytes) -> None:
    path, other = quote(name, safe="") or "-", quote(target, safe="") or "-"
    for method, address in (
        ("POST", f"/userdata/{path}"),
        ("POST", f"/userdata/{path}/move/{other}?overwrite=false"),
        ("GET", f"/userdata/{other}"),
        ("DELETE", f"/userdata/{other}"),
    ):
        answer = comfy.request(method, address, data, {"Content-Type": "application/octet-stream"})
        assert answer.status < 500, (address, answer.body)


def test_odd_frames_on_the_websocket(comfy: Served) -> None:
    frames: list[str | bytes] = [
        "",
        "not json",
        "[" * 10_000,
        '{"type": "feature_flags"}',
        '{"type": "feature_flags", "data": [1]}',
        '{"type": "feature_flags", "data": {"supports_preview_metadata": "yes"}}',
        b"\x00\xff" * 100,
        "x" * (70 * 1024),
    ]

    async def talk() -> list[str]:
        told = []
        async with aiohttp.ClientSession() as session:
            for frame in frames:
                url = f"http://127.0.0.1:{comfy.port}/ws?clientId=odd%00%0a"
                async with session.ws_connect(url) as socket:
                    told.append((await socket.receive_json(timeout=20))["type"])
                    await (socket.send_bytes(frame) if isinstance(frame, bytes) else socket.send_str(frame))
                    await socket.send_str("{}")
        return told

    assert asyncio.run(talk()) == ["status"] * len(frames)
    assert comfy.get("/prompt").status == 200
