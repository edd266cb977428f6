"""A server started with `graphcore serve` in a process of its own, to be stopped and killed."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from tests.served import PACK, Answer

ROOT = Path(__file__).parents[3]


class Started:
    """`graphcore serve` on a free port; a context manager that ends it."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        arguments = [
            "serve",
            "--port",
            "0",
            "--data-dir",
            str(folder),
            "--pack",
            "none",
            "--node-module",
            PACK,
        ]
        environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
        self.log = folder.parent / f"{folder.name}.log"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "graphcore", *arguments, *options],
                stdout=subprocess.PIPE,
                stderr=log,
                env=environment,
                text=True,
            )
        self.said = ""
        self.port = 0
        self.token: str | None = None
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said += line
            if line.startswith("graphcore is at "):
                self.port = int(line.rsplit(":", 1)[1].strip().rstrip("/"))
                break

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.kill()

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()

    def terminate(self, timeout: float = 60) -> int:
        """Ask it to stop; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout)

    def request(
        self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """One request. Raises OSError or HTTPException if the server is gone."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            data = None if body is None else json.dumps(body).encode()
            connection.request(method, path, data, {"Content-Type": "application/json", **(headers or {})})
            response = connection.getresponse()
            return Answer(response.status, dict(response.headers), response.read())
        finally:
            connection.close()

    def get(self, path: str) -> Any:
        return self.request("GET", path).json

    def submit(self, workflow: Mapping[str, object]) -> str:
        """Submit a run; its id once it was accepted."""
        answer = self.request("POST", "/api/v1/runs", {"workflow": workflow})
        assert answer.status == 202, answer.body
        return str(answer.json["id"])

    def finished(self, run: str, timeout: float = 60.0) -> Any:
        """A run when it has ended."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            shown = self.get(f"/api/v1/runs/{run}?wait=10")
            if shown["finished"] is not None:
                return shown
        raise AssertionError(f"the run {run} did not end: {shown}")

    def until(self, run: str, state: str, timeout: float = 30.0) -> None:
        """Wait until a run has come to a state."""
        deadline = time.monotonic() + timeout
        while self.get(f"/api/v1/runs/{run}")["state"] != state:
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def worker_pid(self) -> int | None:
        """The id of its worker process, if it answers."""
        pid = self.get("/api/v1/memory")["workers"]["auto"].get("pid")
        return pid if isinstance(pid, int) else None
