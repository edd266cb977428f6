"""The scripts and other files that node packs bring for the editor (WEB_DIRECTORY), at /extensions/<pack>/."""

from __future__ import annotations

import asyncio
import mimetypes
from pathlib import Path
from typing import Final
from urllib.parse import quote

from aiohttp import hdrs, web

from graphcore.files import safe_parts
from server.comfy.twofold import answer
from server.errors import NotFound
from server.packs import Packs

EXTENSIONS: Final = "extensions/"
_SCRIPTS: Final = {".js": "text/javascript", ".mjs": "text/javascript"}


class PackFiles:
    """The files of packs; none outside a pack's own folder is ever sent."""

    def __init__(self, packs: Packs) -> None:
        self._packs = packs

    def has(self, pack: str) -> bool:
        """True if a pack of this name brings files."""
        return self._packs.folder(pack) is not None

    async def index(self, request: web.Request) -> web.Response:
        """The addresses of all scripts."""
        return answer(await asyncio.to_thread(self._scripts))

    def _scripts(self) -> list[str]:
        found = []
        for report in self._packs.reports:
            folder = self._packs.folder(report.name)
            for path in sorted(folder.rglob("*.js")) if folder is not None else ():
                found.append(quote(f"/{EXTENSIONS}{report.name}/{path.relative_to(folder).as_posix()}"))  # type: ignore[arg-type]
        return found

    async def get(self, request: web.Request) -> web.StreamResponse:
        """One file."""
        return await self.send(request.match_info["pack"], request.match_info["path"])

    async def send(self, pack: str, name: str) -> web.StreamResponse:
        """A file of a pack; raises NotFound."""
        folder = self._packs.folder(pack)
        path = await asyncio.to_thread(file_below, folder, name) if folder is not None else None
        if path is None:
            raise NotFound
        response = web.FileResponse(path)
        response.content_type = (
            _SCRIPTS.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        )
        response.headers[hdrs.CACHE_CONTROL] = "no-cache"
        return response


def file_below(folder: Path, name: str) -> Path | None:
    """The file of this relative name, or None if there is none or it lies outside `folder`."""
    parts = safe_parts(name)
    if parts is None:
        return None
    try:
        path = folder.joinpath(*parts).resolve()
        return path if path.is_relative_to(folder.resolve()) and path.is_file() else None
    except OSError:
        return None
