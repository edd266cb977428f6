"""The client for programs without an event loop, on the standard library alone."""

from __future__ import annotations

import http.client
import json
import ssl
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from graphcore.client.errors import api_error
from graphcore.client.records import EventReader, Output, Run, RunEvent
from graphcore.client.requests import (
    WAIT_S,
    Request,
    Source,
    json_request,
    plain_request,
    segment,
    submit_request,
    upload_request,
)
from graphcore.errors import InputError


class Client:
    """Talks to one server. A context manager; not for several threads at once.

    Methods raise ApiError for what the server refuses, and OSError if it cannot be reached.
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:8188",
        *,
        token: str | None = None,
        timeout: float = 60.0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or parts.hostname is None:
            raise InputError(f"'{url}' is no server's address; write http://host:port.", code="bad-url")
        self._secure = parts.scheme == "https"
        self._host = parts.hostname
        self._port = parts.port or (443 if self._secure else 80)
        self._token = token
        self._timeout = timeout
        self._tls = tls
        self._connection: http.client.HTTPConnection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def submit(
        self,
        workflow: Source,
        *,
        inputs: Mapping[str, Any] | None = None,
        targets: Sequence[str] | None = None,
        priority: int = 0,
        previews: bool = False,
        idempotency_key: str | None = None,
    ) -> Run:
        """Submit a workflow (a document, the Path of one, or a saved one's name); it is durable when this returns."""
        return Run.from_json(
            self._json(
                submit_request(
                    workflow,
                    inputs=inputs,
                    targets=targets,
                    priority=priority,
                    previews=previews,
                    idempotency_key=idempotency_key,
                )
            )
        )

    def get(self, run_id: str) -> Run:
        """How a run stands."""
        return Run.from_json(self._json(plain_request("GET", f"/runs/{segment(run_id)}")))

    def wait(self, run_id: str, timeout: float | None = None) -> Run:
        """A run when it has ended; raises TimeoutError if it does not within so many seconds."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            left = WAIT_S if deadline is None else min(WAIT_S, deadline - time.monotonic())
            run = Run.from_json(
                self._json(plain_request("GET", f"/runs/{segment(run_id)}?wait={max(0.0, left):.3f}"))
            )
            if run.finished:
                return run
            if left <= 0:
                raise TimeoutError(f"The run {run_id} has not ended in time.")

    def cancel(self, run_id: str) -> Run:
        """Cancel a run."""
        return Run.from_json(self._json(plain_request("DELETE", f"/runs/{segment(run_id)}")))

    def runs(self, *, state: str | None = None, limit: int = 50) -> list[Run]:
        """The newest runs."""
        query = f"?limit={limit}" + (f"&state={segment(state)}" if state else "")
        return [Run.from_json(held) for held in self._json(plain_request("GET", f"/runs{query}"))["runs"]]

    def events(self, run_id: str, *, after: int = -1, previews: bool = False) -> Iterator[RunEvent]:
        """A run's events, past ones first, until it ends. Goes on by itself when the connection breaks."""
        reader = EventReader(last=after)
        while True:
            with self._opened(run_id, reader.last, previews) as response:
                for raw in response:
                    for event in reader.feed(raw.decode("utf-8").rstrip("\r\n")):
                        yield event
                        if event.kind == "run-finished":
                            return
            if self.get(run_id).finished:
                return

    def download(self, output: Output) -> bytes:
        """The content of a file that a run made."""
        return self._exchange(Request(method="GET", path=output.url))

    def save_outputs(self, run: Run, folder: str | Path) -> list[Path]:
        """Fetch all files of a run into a folder; returns their paths."""
        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        saved = []
        for output in run.outputs:
            path = target / Path(output.name).name
            path.write_bytes(self.download(output))
            saved.append(path)
        return saved

    def upload(self, file: Path | bytes, name: str = "") -> str:
        """Upload a picture; returns the id that a workflow names it by."""
        return str(json.loads(self._exchange(upload_request(file, name)))["id"])

    def validate(self, workflow: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        """Every problem of a workflow."""
        return list(self._json(json_request("POST", "/validate", {"workflow": workflow}))["problems"])

    def save_workflow(self, name: str, workflow: Mapping[str, Any]) -> None:
        """Save a workflow under a name."""
        self._json(json_request("PUT", f"/workflows/{segment(name)}", workflow))

    def _json(self, request: Request) -> Any:
        return json.loads(self._exchange(request))

    def _exchange(self, request: Request) -> bytes:
        """The body of the answer. A connection that the server has closed meanwhile is opened anew."""
        fresh = self._connection is None
        connection = self._connection = self._connection or self._connect()
        try:
            connection.request(request.method, request.path, request.body, self._headers(request.headers))
            response = connection.getresponse()
            body = response.read()
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
            self.close()
            if fresh or request.method == "POST":
                raise
            return self._exchange(request)
        except BaseException:
            self.close()
            raise
        if response.status >= 400:
            raise api_error(response.status, body, response.headers.get("Retry-After"))
        return body

    @contextmanager
    def _opened(self, run_id: str, after: int, previews: bool) -> Iterator[http.client.HTTPResponse]:
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": str(after)} if after >= 0 else {})
        request = plain_request(
            "GET", f"/runs/{segment(run_id)}/events" + ("?previews=true" if previews else "")
        )
        connection = self._connect()
        try:
            connection.request("GET", request.path, headers=self._headers(headers))
            with connection.getresponse() as response:
                if response.status >= 400:
                    raise api_error(response.status, response.read(), response.headers.get("Retry-After"))
                yield response
        finally:
            connection.close()

    def _connect(self) -> http.client.HTTPConnection:
        if self._secure:
            return http.client.HTTPSConnection(
                self._host, self._port, timeout=self._timeout, context=self._tls
            )
        return http.client.HTTPConnection(self._host, self._port, timeout=self._timeout)

    def _headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        return dict(headers) | ({"Authorization": f"Bearer {self._token}"} if self._token else {})
