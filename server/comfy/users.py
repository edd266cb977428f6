"""Users (one for each principal) and their settings."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web

from graphcore.jsontext import JSON
from server.comfy.editor import PREFIX
from server.comfy.twofold import answer, asker, done, lax_json, lax_object, twofold
from server.comfy.userdata import UserFiles
from server.errors import RequestError
from server.routing import Route
from server.services import Services

_FILE: Final = "comfy.settings.json"
_EDITORS: Final[Mapping[str, JSON]] = {"Comfy.TutorialCompleted": True}


def user_routes(services: Services, files: UserFiles) -> list[Route]:
    """Users and settings."""
    routes = _Users(files)
    return [
        *twofold("GET", "/users", routes.users),
        *twofold("POST", "/users", routes.add),
        *twofold("GET", "/settings", routes.settings),
        *twofold("POST", "/settings", routes.merge),
        *twofold("GET", "/settings/{id}", routes.setting),
        *twofold("POST", "/settings/{id}", routes.set),
    ]


class _Users:
    def __init__(self, files: UserFiles) -> None:
        self._files = files
        self._turn = asyncio.Lock()

    async def users(self, request: web.Request) -> web.Response:
        return answer({"storage": "server", "migrated": True})

    async def add(self, request: web.Request) -> web.Response:
        return answer({"error": "Users are made with tokens, in the server's settings."}, 400)

    async def settings(self, request: web.Request) -> web.Response:
        """All settings; our editor's first page is not the one of templates, of which there are none."""
        held = await self._read(asker(request).name)
        return answer({**_EDITORS, **held} if request.path.startswith(PREFIX) else held)

    async def setting(self, request: web.Request) -> web.Response:
        held = await self._read(asker(request).name)
        return answer(held.get(request.match_info["id"]))

    async def merge(self, request: web.Request) -> web.Response:
        await self._change(asker(request).name, await lax_object(request))
        return done()

    async def set(self, request: web.Request) -> web.Response:
        value: JSON = await lax_json(request) if request.can_read_body else None
        await self._change(asker(request).name, {request.match_info["id"]: value})
        return done()

    async def _read(self, principal: str) -> dict[str, Any]:
        data = await asyncio.to_thread(self._files.read, principal, _FILE)
        try:
            held = json.loads(data) if data is not None else {}
        except ValueError:
            raise RequestError(
                "The settings file is damaged; remove it.", code="settings-damaged", status=500
            ) from None
        return held if isinstance(held, dict) else {}

    async def _change(self, principal: str, changes: dict[str, Any]) -> None:
        async with self._turn:
            held = await self._read(principal)
            data = json.dumps(held | changes, indent=2, ensure_ascii=False).encode()
            await asyncio.to_thread(self._files.write, principal, _FILE, data)
