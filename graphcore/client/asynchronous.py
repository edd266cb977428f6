"""The client for programs with an event loop; needs aiohttp."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import aiohttp
from yarl import URL

from graphcore.client.errors import api_error
from graphcore.client.records import EventReader, Output, Run, RunEvent
from graphcore.client.requests import (
    WAIT_S,
    Request,
    Source,
    plain_request,
    segment,
    submit_request,
    upload_request,
)


class AsyncClient:
    """Talks to one server. An asynchronous context manager; for as many tasks at once as wanted.

    Methods raise ApiError for what the server refuses, and aiohttp.ClientError if it cannot be reached.
    """

    def __init__(
        self, url: str = "http://127.0.0.1:8188", *, token: str | None = None, timeout: float = 60.0
    ) -> None:
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._timeout = timeout
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            headers=self._headers,
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(total=None),
        )
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def submit(
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
        request = submit_request(
            workflow,
            inputs=inputs,
            targets=targets,
            priority=priority,
            previews=previews,
            idempotency_key=idempotency_key,
        )
        return Run.from_json(json.loads(await self._exchange(request)))

    async def get(self, run_id: str) -> Run:
        """How a run stands."""
        return Run.from_json(
            json.loads(await self._exchange(plain_request("GET", f"/runs/{segment(run_id)}")))
        )

    async def wait(self, run_id: str) -> Run:
        """A run when it has ended."""
        while True:
            request = plain_request("GET", f"/runs/{segment(run_id)}?wait={WAIT_S:g}")
            run = Run.from_json(json.loads(await self._exchange(request)))
            if run.finished:
                return run

    async def cancel(self, run_id: str) -> Run:
        """Cancel a run."""
        return Run.from_json(
            json.loads(await self._exchange(plain_request("DELETE", f"/runs/{segment(run_id)}")))
        )

    async def events(
        self, run_id: str, *, after: int = -1, previews: bool = False
    ) -> AsyncIterator[RunEvent]:
        """A run's events, past ones first, until it ends. Goes on by itself when the connection breaks."""
        reader = EventReader(last=after)
        path = plain_request(
            "GET", f"/runs/{segment(run_id)}/events" + ("?previews=true" if previews else "")
        ).path
        while True:
            headers = {"Last-Event-ID": str(reader.last)} if reader.last >= 0 else {}
            async with self._open().get(URL(self._url + path, encoded=True), headers=headers) as response:
                if response.status >= 400:
                    raise api_error(
                        response.status, await response.read(), response.headers.get("Retry-After")
                    )
                async for raw in response.content:
                    for event in reader.feed(raw.decode("utf-8").rstrip("\r\n")):
                        yield event
                        if event.kind == "run-finished":
                            return
            if (await self.get(run_id)).finished:
                return

    async def download(self, output: Output) -> bytes:
        """The content of a file that a run made."""
        return await self._exchange(Request(method="GET", path=output.url))

    async def upload(self, file: Path | bytes, name: str = "") -> str:
        """Upload a picture; returns the id that a workflow names it by."""
        return str(json.loads(await self._exchange(upload_request(file, name)))["id"])

    async def _exchange(self, request: Request) -> bytes:
        async with self._open().request(
            request.method,
            URL(self._url + request.path, encoded=True),
            data=request.body,
            headers=dict(request.headers),
            timeout=aiohttp.ClientTimeout(total=self._timeout),
        ) as response:
            body = await response.read()
            if response.status >= 400:
                raise api_error(response.status, body, response.headers.get("Retry-After"))
            return body

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError(
                "Use AsyncClient as an asynchronous context manager: async with AsyncClient() as client."
            )
        return self._session
