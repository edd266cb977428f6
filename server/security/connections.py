"""Connections under limits: how many there may be, and how long one may take to say what it wants."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from aiohttp import web
from aiohttp.web_protocol import RequestHandler
from aiohttp.web_request import BaseRequest

_SWEEP_S: Final = 1.0


class _Handler(RequestHandler):
    """One connection. `silent_since` is when it last had a request, or began."""

    def __init__(self, manager: _LimitedServer, **kwargs: Any) -> None:
        super().__init__(manager, **kwargs)
        self.limited = manager
        self.silent_since = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.silent_since = asyncio.get_running_loop().time()
        if len(self.limited.connections) > self.limited.most and isinstance(transport, asyncio.Transport):
            transport.abort()

    @property
    def busy(self) -> bool:
        """True while a request is being answered."""
        return self._current_request is not None

    def drop(self) -> None:
        """End the connection at once."""
        if self.transport is not None:
            self.transport.abort()

    def handle_error(
        self,
        request: BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if status >= 500:
            super().handle_error(request, status, exc, message)
        error = {"code": "bad-request" if status < 500 else "internal", "message": _sentence(status)}
        response = web.Response(
            status=status, text=json.dumps({"error": error}), content_type="application/json"
        )
        response.force_close()
        return response


class _LimitedServer(web.Server):
    def __init__(self, *args: Any, most: int, header_s: float, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.most = most
        self._header_s = header_s
        self._sweeper = asyncio.get_running_loop().create_task(self._sweep())

    def __call__(self) -> RequestHandler:
        return _Handler(self, loop=self._loop, **self._kwargs)

    async def _sweep(self) -> None:
        """Drop the connections that have been saying nothing whole for too long."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_SWEEP_S)
            now = loop.time()
            for connection in self.connections:
                if not isinstance(connection, _Handler):
                    continue
                if connection.busy:
                    connection.silent_since = now
                elif now - connection.silent_since > self._header_s:
                    connection.drop()

    async def shutdown(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 - aiohttp's signature
        self._sweeper.cancel()
        with suppress(asyncio.CancelledError):
            await self._sweeper
        await super().shutdown(timeout)


class LimitedRunner(web.AppRunner):
    """Runs an application with limits on its connections.

    `most` is the number of connections; one that has sent no whole request for `header_s` seconds is dropped.
    """

    __slots__ = ("_header_s", "_most")

    def __init__(self, app: web.Application, *, most: int, header_s: float, **kwargs: Any) -> None:
        super().__init__(app, **kwargs)
        self._most = most
        self._header_s = header_s

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        kwargs: Mapping[str, Any] = made._kwargs
        return _LimitedServer(
            made.request_handler,
            request_factory=made.request_factory,
            most=self._most,
            header_s=self._header_s,
            **kwargs,
        )


def _sentence(status: int) -> str:
    if status >= 500:
        return "The server failed; its log says how."
    return "The request is not well-formed HTTP, or its headers are larger than the server takes."
