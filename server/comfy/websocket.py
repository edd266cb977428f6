"""The websocket route: a client connects under an id, may announce what it can do, and is told of its prompts."""

from __future__ import annotations

import asyncio
import json
import uuid
from contextlib import suppress
from typing import Any, Final

from aiohttp import WSMsgType, web

from server.comfy.connection import Connection
from server.comfy.editor import PREFIX
from server.comfy.features import features
from server.comfy.live import Live
from server.comfy.twofold import asker, twofold
from server.errors import QueueFull, RequestError
from server.routing import Route
from server.services import Services

_MOST: Final = 2000
_MESSAGE_BYTES: Final = 64 * 1024
_LONGEST_ID: Final = 256


def websocket_routes(services: Services, live: Live) -> list[Route]:
    """The websocket."""
    return twofold("GET", "/ws", _Sockets(services, live).get)


class _Sockets:
    def __init__(self, services: Services, live: Live) -> None:
        self._services = services
        self._live = live

    async def get(self, request: web.Request) -> web.StreamResponse:
        if len(self._live) >= _MOST:
            raise QueueFull(f"There are {_MOST} connections already; try again later.", retry_after=5)
        client_id = request.query.get("clientId") or uuid.uuid4().hex
        if len(client_id) > _LONGEST_ID:
            raise RequestError("The clientId is too long.", code="bad-parameter")
        socket = web.WebSocketResponse(compress=False, max_msg_size=_MESSAGE_BYTES, timeout=2.0)
        await socket.prepare(request)
        connection = Connection(
            socket, asker(request), client_id, shows_previews=request.path.startswith(PREFIX)
        )
        self._live.connect(connection)
        writer = asyncio.get_running_loop().create_task(connection.write_all())
        try:
            await self._listen(socket, connection)
        finally:
            self._live.disconnect(connection)
            connection.close()
            with suppress(asyncio.CancelledError):
                await writer
        return socket

    async def _listen(self, socket: web.WebSocketResponse, connection: Connection) -> None:
        first = True
        async for message in socket:
            if first and message.type is WSMsgType.TEXT:
                announced = _announced(message.data)
                if announced is not None:
                    connection.features = announced
                    ours = {"type": "feature_flags", "data": features(self._services.settings)}
                    connection.send(json.dumps(ours))
            first = False


def _announced(text: str) -> dict[str, Any] | None:
    """What a client says that it can do, if that is what it says."""
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        return None
    data = said.get("data") if isinstance(said, dict) and said.get("type") == "feature_flags" else None
    return data if isinstance(data, dict) else None
