"""Prompts that were taken run after a restart, and the history is there as before."""

from __future__ import annotations

import time
from pathlib import Path

from server.comfy.routes import comfy_routes
from tests.comfy_client import ComfyClient, messages, picture_prompt, steps_prompt
from tests.served import Served, settings_in


def test_queue_and_history_survive_a_restart(tmp_path: Path) -> None:
    with Served(settings_in(tmp_path), modules=(comfy_routes,)) as server:
        server.ready()
        with ComfyClient(server) as client:
            done = client.queue(picture_prompt(1))
            client.until_done(done)
            running = client.queue(steps_prompt(300))
            while not server.get("/queue").json["queue_running"]:
                time.sleep(0.02)
            waiting = client.queue(picture_prompt(2))
        history = server.get("/history").json

    with Served(settings_in(tmp_path), modules=(comfy_routes,)) as server, ComfyClient(server) as client:
        first = client.next()
        assert isinstance(first, dict)
        assert first["data"]["status"]["exec_info"]["queue_remaining"] == 2
        assert server.get("/history").json == history
        frames = client.until_done(running) + client.until_done(waiting)
        assert list(server.get("/history").json) == [done, running, waiting]

    assert len(messages(frames, "execution_success")) == 2


def test_connections_end_when_the_server_stops(tmp_path: Path) -> None:
    with Served(settings_in(tmp_path), modules=(comfy_routes,)) as server:
        server.ready()
        with ComfyClient(server) as client:
            assert client.next() is not None
            server.stop()
            assert client.next() is None
