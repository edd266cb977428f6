"""kill -9 of the server, the worker or both, at random moments: every run that was accepted ends once, and well."""

from __future__ import annotations

import http.client
import os
import random
import signal
import sqlite3
import threading
import time
from contextlib import closing, suppress
from pathlib import Path

import pytest

from tests.acceptance.server.started import Started
from tests.served import entry, link, native


def workflow(number: int) -> dict[str, object]:
    """A run of a few milliseconds that leaves a picture."""
    return native(
        wait=entry("Steps", count=number % 5, pause=0.01),
        make=entry("MakePicture", level=number % 256),
        keep=entry("KeepPicture", images=link("make")),
    )


def submit_until_gone(server: Started, accepted: list[str], start: int, stop: threading.Event) -> None:
    """Submit runs until the server is gone; note those that it accepted."""
    number = start
    while not stop.is_set():
        try:
            accepted.append(server.submit(workflow(number)))
        except (OSError, http.client.HTTPException):
            return
        number += 1
        time.sleep(0.005)


def check_store(folder: Path) -> None:
    """The database is whole, and what it says of each run makes sense."""
    with closing(sqlite3.connect(folder / "graphcore.sqlite3")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        finished = connection.execute("SELECT COUNT(*) FROM runs WHERE finished IS NOT NULL").fetchone()[0]
        ends = connection.execute(
            'SELECT COUNT(*) FROM run_events WHERE body LIKE \'%"event":"run-finished"%\''
        ).fetchone()[0]
        assert ends == finished


def kill_at_random(folder: Path, rounds: int) -> None:
    chance = random.Random(rounds)
    accepted: list[str] = []
    for round_number in range(rounds):
        with Started(folder) as server:
            stop = threading.Event()
            submitting = threading.Thread(
                target=submit_until_gone, args=(server, accepted, round_number * 1000, stop)
            )
            submitting.start()
            time.sleep(chance.uniform(0.1, 2.5))
            victim = chance.choice(("server", "worker", "both"))
            if victim != "server":
                pid = server.worker_pid()
                if pid is not None:
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
            if victim == "worker":
                time.sleep(chance.uniform(0.05, 0.3))
            server.kill()
            stop.set()
            submitting.join()
        check_store(folder)
    with Started(folder) as server:
        for run in accepted:
            shown = server.finished(run)
            assert shown["state"] == "succeeded", shown
            assert len(shown["outputs"]) == 1
            picture = server.request("GET", shown["outputs"][0]["url"])
            assert picture.body.endswith(b"IEND\xaeB`\x82")
        assert server.terminate() == 0
    check_store(folder)
    assert len(accepted) == len(set(accepted)) > 0


def test_a_few_rounds(tmp_path: Path) -> None:
    kill_at_random(tmp_path / "data", rounds=5)


@pytest.mark.slow
def test_a_hundred_rounds(tmp_path: Path) -> None:
    kill_at_random(tmp_path / "data", rounds=100)
