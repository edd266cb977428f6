"""Webhooks: a listed target is told once a run has ended, with a signature, again if it fails, and never elsewhere."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
from pydantic import SecretStr

from server import webhooks
from server.webhooks import signature
from tests.served import Served, settings_in, sum_of


class Receiver(BaseHTTPRequestHandler):
    """Answers with the statuses that it was given, then 200; keeps what it was sent."""

    statuses: ClassVar[list[int]] = []
    heard: ClassVar[list[tuple[dict[str, str], bytes]]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        type(self).heard.append((dict(self.headers), body))
        status = type(self).statuses.pop(0) if type(self).statuses else 200
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        return None


@pytest.fixture
def receiver() -> Iterator[HTTPServer]:
    Receiver.statuses, Receiver.heard = [], []
    server = HTTPServer(("127.0.0.1", 0), Receiver)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def wait_for(count: int) -> list[tuple[dict[str, str], bytes]]:
    deadline = time.monotonic() + 20
    while len(Receiver.heard) < count:
        assert time.monotonic() < deadline, Receiver.heard
        time.sleep(0.02)
    return Receiver.heard


def test_a_target_is_told_with_a_signature_and_again_after_failures(
    receiver: HTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "_PAUSES_S", (0.05, 0.05, 0.05))
    Receiver.statuses = [500, 302]
    target = f"http://127.0.0.1:{receiver.server_port}"
    settings = settings_in(tmp_path, webhook_allow=(target,), webhook_secret=SecretStr("shared"))

    with Served(settings) as server:
        run = server.submit(sum_of(), webhook=f"{target}/done?key=typed-into-the-address")
        server.finished(run)
        heard = wait_for(3)
        deadline = time.monotonic() + 10
        while b"graphcore_webhooks_delivered_total 1" not in server.get("/api/v1/metrics").body:
            assert time.monotonic() < deadline
            time.sleep(0.02)

    assert len(heard) == 3
    for path in (path for path in tmp_path.rglob("*") if path.is_file()):
        assert b"typed-into-the-address" not in path.read_bytes(), path
        assert b"shared" not in path.read_bytes(), path
    for headers, body in heard:
        held = {name.lower(): value for name, value in headers.items()}
        assert held["webhook-id"] == run
        assert held["webhook-signature"] == signature(b"shared", run, held["webhook-timestamp"], body)
        assert json.loads(body)["data"] == {"id": run, "state": "succeeded"}


def test_what_was_due_when_the_server_stopped_is_told_after_the_next_start(
    receiver: HTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "_PAUSES_S", (60.0,))
    Receiver.statuses = [503]
    target = f"http://127.0.0.1:{receiver.server_port}"
    settings = settings_in(tmp_path, webhook_allow=(target,), webhook_secret=SecretStr("shared"))

    with Served(settings) as server:
        server.finished(server.submit(sum_of(), webhook=f"{target}/done"))
        wait_for(1)
    with Served(settings):
        assert len(wait_for(2)) == 2
