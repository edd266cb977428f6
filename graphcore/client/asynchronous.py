"""The client for programs with an event loop: the plain client's methods, each awaited on a thread of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self, TypeVar

from graphcore.client.records import Output, Run, RunEvent
from graphcore.client.requests import Source
from graphcore.client.synchronous import Client

ResultT = TypeVar("ResultT")


class AsyncClient:
    """Talks to one server. An asynchronous context manager; for as many tasks at once as there are `threads`.

    Methods raise ApiError for what the server refuses, and OSError if it cannot be reached.
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:8188",
        *,
        token: str | None = None,
        timeout: float = 60.0,
        threads: int = 64,
    ) -> None:
        self._url = url
        self._token = token
        self._timeout = timeout
        self._threads = threads
        self._pool: ThreadPoolExecutor | None = None

    async def __aenter__(self) -> Self:
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="graphcore-client")
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None

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
        return await self._call(
            lambda client: client.submit(
                workflow,
                inputs=inputs,
                targets=targets,
                priority=priority,
                previews=previews,
                idempotency_key=idempotency_key,
            )
        )

    async def get(self, run_id: str) -> Run:
        """How a run stands."""
        return await self._call(lambda client: client.get(run_id))

    async def wait(self, run_id: str) -> Run:
        """A run when it has ended; `asyncio.timeout` bounds the wait."""
        return await self._call(lambda client: client.wait(run_id))

    async def cancel(self, run_id: str) -> Run:
        """Cancel a run."""
        return await self._call(lambda client: client.cancel(run_id))

    async def events(
        self, run_id: str, *, after: int = -1, previews: bool = False
    ) -> AsyncIterator[RunEvent]:
        """A run's events, past ones first, until it ends. Goes on by itself when the connection breaks."""
        events = self._client().events(run_id, after=after, previews=previews)
        while (event := await self._in_thread(lambda: next(events, None))) is not None:
            yield event

    async def download(self, output: Output) -> bytes:
        """The content of a file that a run made."""
        return await self._call(lambda client: client.download(output))

    async def upload(self, file: Path | bytes, name: str = "") -> str:
        """Upload a picture; returns the id that a workflow names it by."""
        return await self._call(lambda client: client.upload(file, name))

    def _client(self) -> Client:
        return Client(self._url, token=self._token, timeout=self._timeout)

    async def _call(self, work: Callable[[Client], ResultT]) -> ResultT:
        def call() -> ResultT:
            with self._client() as client:
                return work(client)

        return await self._in_thread(call)

    async def _in_thread(self, work: Callable[[], ResultT]) -> ResultT:
        if self._pool is None:
            raise RuntimeError(
                "Use AsyncClient as an asynchronous context manager: async with AsyncClient() as client."
            )
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)
