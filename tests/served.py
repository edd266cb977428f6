"""A server in a thread of the test's process, with real worker processes, and plain HTTP to talk to it."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from aiohttp import web

from graphcore.registry import Registry
from graphcore.worker.configuration import build_registry
from server.app import SERVICES, RouteModule
from server.running import make_runner
from server.services import Services
from server.settings import ServerSettings

PACK = "tests.packs.trivial"
OWNER_TOKEN = "owner-token-of-the-tests"
GUEST_TOKEN = "guest-token-of-the-tests"


@dataclass(frozen=True)
class Answer:
    """What a server answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The code of the error that it answered with."""
        return str(self.json["error"]["code"])


def settings_in(folder: Path, **changes: Any) -> ServerSettings:
    """Settings for a server in a folder of a test, with the trivial nodes alone."""
    given: dict[str, Any] = {"data_dir": folder, "port": 0, "packs": (), "node_module": (PACK,), "grace": 0.5}
    return ServerSettings(**(given | changes))


@dataclass
class Served:
    """A running server; a context manager."""

    settings: ServerSettings
    token: str | None = None
    modules: tuple[RouteModule, ...] = ()
    port: int = 0
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    _ready: threading.Event = field(default_factory=threading.Event)
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _error: BaseException | None = None

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._run, name="served")
        self._thread.start()
        self._ready.wait(30)
        if self._error is not None:
            self._thread.join()
            raise self._error
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop as SIGTERM would have it."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join(60)

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        except BaseException as error:
            self._error = error
        finally:
            self._loop.close()
            self._ready.set()

    async def _serve(self) -> None:
        registry: Registry = build_registry(self.settings.packs, self.settings.node_module)
        runner = make_runner(self.settings, registry, modules=self.modules, token=self.token)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            assert isinstance(site._server, asyncio.Server)
            self.port = site._server.sockets[0].getsockname()[1]
            self.services: Services = runner.app[SERVICES]
            self._ready.set()
            await self._stopping.wait()
        finally:
            await runner.cleanup()

    def call(self, work: Any) -> Any:
        """Run a coroutine on the server's loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    def request(
        self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """One request; a body that is not bytes is sent as JSON."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        given = dict(headers or {})
        data: bytes | None = None
        if isinstance(body, bytes):
            data = body
        elif body is not None:
            data = json.dumps(body).encode()
            given.setdefault("Content-Type", "application/json")
        if self.token is not None:
            given.setdefault("Authorization", f"Bearer {self.token}")
        try:
            connection.request(method, path, data, given)
            response = connection.getresponse()
            return Answer(response.status, dict(response.headers), response.read())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Answer:
        return self.request(
            "GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()}
        )

    def post(self, path: str, body: object = None, headers: Mapping[str, str] | None = None) -> Answer:
        return self.request("POST", path, body, headers)

    def raw(self, data: bytes, *, timeout: float = 10.0) -> Answer:
        """Send bytes as they are, and read what comes until the server closes or the answer is whole."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=timeout) as connection:
            connection.sendall(data)
            response = http.client.HTTPResponse(connection)
            response.begin()
            return Answer(response.status, dict(response.headers), response.read())

    def submit(self, workflow: Mapping[str, object], **request: object) -> str:
        """Submit a run; its id."""
        answer = self.post("/api/v1/runs", {"workflow": workflow, **request})
        assert answer.status == 202, answer.body
        return str(answer.json["id"])

    def finished(self, run: str, timeout: float = 30.0) -> Any:
        """A run when it has ended."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            shown = self.get(f"/api/v1/runs/{run}?wait=10").json
            if shown["finished"] is not None:
                return shown
        raise AssertionError(f"the run {run} did not end: {shown}")

    def until(self, run: str, state: str, timeout: float = 30.0) -> Any:
        """A run when it has come to a state."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            shown = self.get(f"/api/v1/runs/{run}").json
            if shown["state"] == state:
                return shown
            time.sleep(0.02)
        raise AssertionError(f"the run {run} is not {state}: {shown}")

    def ready(self) -> Self:
        """Wait until a worker takes runs."""
        deadline = time.monotonic() + 30
        while self.get("/api/v1/health").json["status"] != "ok":
            assert time.monotonic() < deadline
            time.sleep(0.02)
        return self


def native(**nodes: Mapping[str, object]) -> dict[str, object]:
    """A native workflow of these nodes."""
    return {"graphcore": 1, "nodes": nodes}


def link(node: str) -> dict[str, object]:
    """A link to a node's only output."""
    return {"node": node}


def entry(kind: str, **inputs: object) -> dict[str, object]:
    """A node of a native workflow."""
    return {"type": kind, "inputs": inputs}


def sum_of(a: int = 1, b: int = 2) -> dict[str, object]:
    """A workflow that adds two numbers and shows the sum."""
    return native(
        a=entry("Number", value=a),
        b=entry("Number", value=b),
        sum=entry("Sum", a=link("a"), b=link("b")),
        report=entry("Report", value=link("sum")),
    )


def steps_of(count: int, pause: float = 0.01) -> dict[str, object]:
    """A workflow that takes its time, a step at a time."""
    return native(steps=entry("Steps", count=count, pause=pause))
