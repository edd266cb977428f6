"""Secrets that come with a run reach the node that needs them, and stay nowhere when the run has ended."""

from __future__ import annotations

import json
import logging
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from server.comfy.routes import comfy_routes
from tests.comfy_client import ComfyClient, messages, picture_prompt, step, steps_prompt
from tests.served import Served, entry, native, settings_in, steps_of

SECRET = "correct-horse-battery-staple"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with Served(settings_in(tmp_path / "data"), modules=(comfy_routes,)) as server:
        yield server.ready()


def unlocking(password: str = SECRET) -> dict[str, Any]:
    return native(unlock=entry("Unlock", password=password, text="told to all"))


def places_of(folder: Path, secret: str = SECRET) -> list[str]:
    """The files below a folder that hold a secret, as it is or as JSON would have it."""
    return [
        str(path) for path in folder.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()
    ]


def test_a_secret_input_reaches_its_node_and_is_forgotten(
    served: Served, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    run = served.submit(unlocking())
    shown = served.finished(run)

    assert shown["values"] == {} or SECRET not in json.dumps(shown)
    assert shown["shown"]["unlock"] == [{"kind": "text", "text": f"{len(SECRET)} letters"}]
    assert SECRET not in served.get(f"/api/v1/runs/{run}/events").body.decode()
    served.stop()
    assert places_of(tmp_path) == []
    assert SECRET not in caplog.text


def test_a_secret_is_held_while_its_run_waits_even_through_a_restart(tmp_path: Path) -> None:
    settings = settings_in(tmp_path / "data")
    with Served(settings) as server:
        server.post("/api/v1/queue/pause")
        run = server.submit(unlocking())
    with closing(sqlite3.connect(tmp_path / "data" / "graphcore.sqlite3")) as connection:
        (document,) = connection.execute("SELECT document FROM run_requests").fetchone()
        assert SECRET.encode() not in document
    with Served(settings) as server:
        assert server.finished(run)["shown"]["unlock"][0]["text"] == f"{len(SECRET)} letters"
    assert places_of(tmp_path) == []


def test_a_declared_input_that_is_secret_is_one_too(served: Served, tmp_path: Path) -> None:
    workflow = unlocking("") | {"inputs": {"password": {"node": "unlock", "input": "password"}}}
    run = served.submit(workflow, inputs={"password": SECRET})

    assert served.finished(run)["shown"]["unlock"][0]["text"] == f"{len(SECRET)} letters"
    served.stop()
    assert places_of(tmp_path) == []


def test_failed_and_cancelled_runs_forget_their_secrets_too(served: Served, tmp_path: Path) -> None:
    failed = served.submit(unlocking(f"{SECRET}?"))
    assert served.finished(failed)["state"] == "failed"
    assert SECRET not in served.get(f"/api/v1/runs/{failed}").body.decode()
    long = served.submit(steps_of(100_000))
    waiting = served.submit(unlocking())
    served.request("DELETE", f"/api/v1/runs/{waiting}")
    served.request("DELETE", f"/api/v1/runs/{long}")
    assert served.finished(waiting)["state"] == "cancelled"
    served.finished(long)
    served.stop()
    assert places_of(tmp_path) == []


def test_comfyui_queue_history_and_jobs_do_not_show_secret_inputs(served: Served, tmp_path: Path) -> None:
    prompt = {"1": step("Unlock", password=SECRET)}
    extra = {"extra_pnginfo": {"workflow": {"nodes": [{"widgets_values": [SECRET]}]}}}
    with ComfyClient(served) as client:
        long = client.queue(steps_prompt(100_000))
        prompt_id = client.queue(prompt, extra_data=extra)
        for path in ("/queue", f"/api/jobs/{prompt_id}"):
            assert SECRET not in served.get(path).body.decode(), path
        while not served.get("/queue").json["queue_running"]:
            time.sleep(0.02)
        served.post("/interrupt", {"prompt_id": long})
        frames = client.until_done(prompt_id)

    assert messages(frames, "executed")[0]["output"] == {"text": [f"{len(SECRET)} letters"]}
    assert not any(SECRET in str(frame) for frame in frames)
    for path in ("/history", f"/history/{prompt_id}", f"/api/jobs/{prompt_id}", "/internal/logs"):
        assert SECRET not in served.get(path).body.decode(), path
    kept = served.get(f"/history/{prompt_id}").json[prompt_id]["prompt"][2]
    assert kept["1"]["inputs"]["password"].startswith("(secret ")
    served.stop()
    assert places_of(tmp_path) == []


def test_keys_sent_along_are_not_kept(served: Served, tmp_path: Path) -> None:
    names = ("auth_token_comfy_org", "api_key_comfy_org", "api_key", "hf_token", "Auth-Token", "password")
    secrets = dict.fromkeys(names, SECRET)
    extra = secrets | {"nested": [secrets], "extra_pnginfo": secrets, "kept": "told to all"}
    with ComfyClient(served) as client:
        frames = client.run(picture_prompt(7), extra_data=extra)
    history = served.get("/history")
    (listed,) = history.json.values()

    assert listed["prompt"][3]["kept"] == "told to all"
    assert listed["prompt"][3]["nested"] == [{}]
    assert SECRET not in history.body.decode()
    assert not any(SECRET in str(frame) for frame in frames)
    assert places_of(tmp_path) == []
