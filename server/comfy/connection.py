"""One websocket: what waits to be sent over it, never more than it may hold."""

from __future__ import annotations

import asyncio
import json
import struct
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from aiohttp import web

from server.security.tokens import Principal

_PREVIEW: Final = 1
_PREVIEW_WITH_METADATA: Final = 4
_FORMATS: Final[Mapping[str, int]] = {"image/jpeg": 1, "image/png": 2}
_FULL_BYTES: Final = 2**20
_MOST_BYTES: Final = 16 * 2**20
_STALLED_S: Final = 20.0
_CLOSE_S: Final = 2.0


class Connection:
    """A client. Messages that only say how things stand are left out while it is slow; one that stalls is dropped.

    With `shows_previews` the client need not name a preview method to be sent previews.
    """

    def __init__(
        self,
        socket: web.WebSocketResponse,
        principal: Principal,
        client_id: str,
        *,
        shows_previews: bool = False,
    ) -> None:
        self.principal = principal
        self.client_id = client_id
        self.features: Mapping[str, Any] = {}
        self.wants_logs = False
        self.shows_previews = shows_previews
        self._socket = socket
        self._waiting: deque[str | bytes] = deque()
        self._bytes = 0
        self._status: str | None = None
        self._wake = asyncio.Event()
        self._closed = False

    @property
    def takes_previews(self) -> bool:
        """True if the client has announced that it knows previews when it sees them."""
        return bool(self.features.get("supports_preview_metadata"))

    def send(self, frame: str | bytes, *, passing: bool = False) -> None:
        """Let a frame be sent, after those before it."""
        if self._closed or (passing and self._bytes > _FULL_BYTES):
            return
        if self._bytes > _MOST_BYTES:
            self.close()
            return
        self._waiting.append(frame)
        self._bytes += len(frame)
        self._wake.set()

    def send_status(self, text: str) -> None:
        """Send how many prompts are left; of several such frames in a row the last is sent."""
        if self._status is not None and self._waiting and self._waiting[-1] is self._status:
            self._bytes += len(text) - len(self._status)
            self._waiting[-1] = text
        else:
            self.send(text)
        self._status = text

    def send_preview(self, about: Mapping[str, Any], picture: bytes) -> None:
        """Send a preview in the form that the client knows."""
        if self.takes_previews:
            described = json.dumps(about, separators=(",", ":")).encode()
            head = struct.pack(">II", _PREVIEW_WITH_METADATA, len(described)) + described
        else:
            head = struct.pack(">II", _PREVIEW, _FORMATS.get(str(about["image_type"]), 1))
        self.send(head + picture, passing=True)

    def close(self) -> None:
        """End the connection, whatever waits."""
        self._closed = True
        self._wake.set()

    async def write_all(self) -> None:
        """Send what comes until the connection ends."""
        with suppress(ConnectionError, RuntimeError, TimeoutError):
            while not self._closed:
                while self._waiting and not self._closed:
                    frame = self._waiting.popleft()
                    self._bytes -= len(frame)
                    async with asyncio.timeout(_STALLED_S):
                        await (
                            self._socket.send_bytes(frame)
                            if isinstance(frame, bytes)
                            else self._socket.send_str(frame)
                        )
                self._wake.clear()
                if not self._waiting:
                    await self._wake.wait()
        self._closed = True
        with suppress(ConnectionError, RuntimeError, TimeoutError):
            async with asyncio.timeout(_CLOSE_S):
                await self._socket.close()
