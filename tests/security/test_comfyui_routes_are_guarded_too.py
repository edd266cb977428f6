"""ComfyUI's routes stand behind the same gate: tokens, owners, origins, safety; lax about bodies or not."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator

import pytest

from server.comfy.routes import comfy_routes
from tests.comfy_client import ComfyClient, messages, picture_prompt, step, steps_prompt
from tests.served import GUEST_TOKEN, OWNER_TOKEN, Served, settings_in

AS_GUEST = {"Authorization": f"Bearer {GUEST_TOKEN}"}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server with an owner and a guest."""
    settings = settings_in(tmp_path_factory.mktemp("shared"), tokens={"guest": GUEST_TOKEN})
    with Served(settings, token=OWNER_TOKEN, modules=(comfy_routes,)) as server:
        yield server.ready()


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server that takes no unfiltered pictures."""
    settings = settings_in(tmp_path_factory.mktemp("strict"), require_safety=True)
    with Served(settings, modules=(comfy_routes,)) as server:
        yield server.ready()


def owned(shared: Served, level: int) -> tuple[str, str]:
    """A prompt of the owner that has ended, and the file that it made."""
    with ComfyClient(shared, f"owner-{level}") as client:
        prompt_id = client.queue(picture_prompt(level))
        frames = client.until_done(prompt_id)
    (executed,) = messages(frames, "executed")
    return prompt_id, executed["output"]["images"][0]["filename"]


def test_every_route_denies_without_a_token(shared: Served) -> None:
    walked = 0
    for route in comfy_routes(shared.services):
        path = re.sub(r"\{[^/]+\}", "x", route.path)
        answer = shared.request(route.method, path, b"{}", {"Authorization": ""})
        assert answer.status == 401, path
        walked += 1
    assert walked > 100


def test_a_guest_sees_nothing_of_the_owners_prompts(shared: Served) -> None:
    prompt_id, filename = owned(shared, 1)

    def as_guest(path: str) -> object:
        return shared.request("GET", path, headers=AS_GUEST).json

    assert as_guest("/history") == {}
    assert as_guest(f"/history/{prompt_id}") == {}
    assert as_guest("/api/jobs")["jobs"] == []  # type: ignore[index]
    assert shared.request("GET", f"/api/jobs/{prompt_id}", headers=AS_GUEST).status == 404
    assert shared.request("GET", f"/view?filename={filename}", headers=AS_GUEST).status == 404
    assert shared.get(f"/view?filename={filename}").status == 200
    assert as_guest("/internal/logs/raw")["entries"] == []  # type: ignore[index]
    assert shared.request("GET", "/internal/files/output", headers=AS_GUEST).status == 403


def test_a_guest_can_neither_interrupt_nor_take_out_nor_forget_what_is_the_owners(shared: Served) -> None:
    ended, _ = owned(shared, 2)
    with ComfyClient(shared, "owner-long") as client:
        running = client.queue(steps_prompt(10_000))
        while not shared.get("/queue").json["queue_running"]:
            time.sleep(0.02)
        waiting = client.queue(picture_prompt(3))

        assert shared.request("GET", "/queue", headers=AS_GUEST).json == {
            "queue_running": [],
            "queue_pending": [],
        }
        assert shared.request("GET", "/prompt", headers=AS_GUEST).json["exec_info"]["queue_remaining"] == 0
        shared.post("/interrupt", {}, AS_GUEST)
        shared.post("/interrupt", {"prompt_id": running}, AS_GUEST)
        shared.post("/queue", {"clear": True, "delete": [waiting]}, AS_GUEST)
        shared.post("/history", {"clear": True, "delete": [ended]}, AS_GUEST)

        queue = shared.get("/queue").json
        assert [item[1] for item in queue["queue_running"] + queue["queue_pending"]] == [running, waiting]
        assert ended in shared.get("/history").json
        shared.post("/interrupt", {})
        client.until_done(running)
        client.until_done(waiting)


def test_a_guest_who_knows_the_owners_client_id_is_told_nothing_of_the_owners_run(shared: Served) -> None:
    with ComfyClient(shared, "known") as owner, ComfyClient(shared, "known", token=GUEST_TOKEN) as guest:
        owner.run(picture_prompt(4))
        body = {"prompt": {"1": step("Report", value=1)}, "client_id": "known"}
        own = shared.post("/prompt", body, AS_GUEST).json["prompt_id"]
        frames = guest.until_done(own)

    told = {frame["data"].get("prompt_id", own) for frame in frames if isinstance(frame, dict)}
    assert told == {own}


def test_files_and_settings_of_users_are_apart(shared: Served) -> None:
    shared.post("/userdata/mine.json", b"{}")
    shared.post("/settings", {"theme": "dark"})

    assert shared.request("GET", "/userdata/mine.json", headers=AS_GUEST).status == 404
    assert shared.request("GET", "/settings", headers=AS_GUEST).json == {}


def test_pages_of_other_sites_can_use_none_of_the_lax_routes(strict: Served) -> None:
    evil = {"Origin": "https://evil.example", "Content-Type": "text/plain"}
    body = json.dumps({"prompt": {"1": step("Report", value=1)}}).encode()

    for route in comfy_routes(strict.services):
        path = re.sub(r"\{[^/]+\}", "x", route.path)
        assert strict.request(route.method, path, body, evil).status == 403, path
    assert strict.post("/prompt", body, {"Sec-Fetch-Site": "cross-site"}).status == 403
    assert strict.get("/history").json == {}


def test_an_unfiltered_picture_is_refused_and_a_filtered_one_is_made(strict: Served) -> None:
    refused = strict.post("/prompt", {"prompt": picture_prompt(5)})

    assert refused.status == 400
    assert "SafetyFilter" in refused.json["node_errors"]["2"]["errors"][0]["details"]
    filtered = {
        "1": step("MakePicture", level=5),
        "2": step("SafetyFilter", image=["1", 0]),
        "3": step("SaveImage", images=["2", 0]),
        "4": step("SaveImage", images=["1", 0]),
    }
    with ComfyClient(strict, "strict") as client:
        answer = client.post(filtered)
        assert list(answer.json["node_errors"]) == ["4"]
        frames = client.until_done(answer.json["prompt_id"])
    assert [data["node"] for data in messages(frames, "executed")] == ["3"]


def until_listed(shared: Served, prompt_id: str, headers: dict[str, str]) -> None:
    deadline = time.monotonic() + 20
    while shared.request("GET", f"/history/{prompt_id}", headers=headers).json == {}:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_guest_cannot_put_its_prompt_in_the_place_of_the_owners_by_taking_its_id(shared: Served) -> None:
    with ComfyClient(shared, "owner-of-an-id") as client:
        client.run(picture_prompt(71), prompt_id="the-same")
    body = {"prompt": {"1": step("Fail")}, "prompt_id": "the-same"}
    assert shared.post("/prompt", body, AS_GUEST).status == 200
    until_listed(shared, "the-same", AS_GUEST)

    def as_owner(path: str) -> dict[str, object]:
        return dict(shared.get(path).json)

    for entry in (as_owner("/history/the-same")["the-same"], as_owner("/history")["the-same"]):
        assert isinstance(entry, dict)
        assert entry["status"]["completed"] is True
        assert entry["prompt"][2] == picture_prompt(71)
    assert as_owner("/api/jobs/the-same")["status"] == "completed"
    as_guest = shared.request("GET", "/api/jobs/the-same", headers=AS_GUEST).json
    assert as_guest["status"] == "failed"

    shared.post("/history", {"delete": ["the-same"]})
    assert shared.request("GET", "/history/the-same", headers=AS_GUEST).json != {}


def test_the_owner_interrupts_and_takes_out_its_own_of_two_prompts_of_one_id(shared: Served) -> None:
    with ComfyClient(shared, "owner-of-a-long-run") as client:
        prompt_id = client.queue(steps_prompt(100_000), prompt_id="long")
        while not shared.get("/queue").json["queue_running"]:
            time.sleep(0.02)
        assert (
            shared.post("/prompt", {"prompt": steps_prompt(1), "prompt_id": "long"}, AS_GUEST).status == 200
        )

        shared.post("/queue", {"delete": ["long"]})
        assert len(shared.get("/queue").json["queue_pending"]) == 1
        shared.post("/interrupt", {"prompt_id": "long"})
        assert messages(client.until_done(prompt_id), "execution_interrupted")

    until_listed(shared, "long", AS_GUEST)
    assert (
        shared.request("GET", "/history/long", headers=AS_GUEST).json["long"]["status"]["completed"] is True
    )
