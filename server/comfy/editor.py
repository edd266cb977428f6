"""The node editor at `/editor/`: the files of an installed comfyui-frontend-package, a program of its own (GPL-3.0).

Nothing of it is ours or needed. Its pages speak to the protocol below their own folder, and to no other host.
"""

from __future__ import annotations

import asyncio
import mimetypes
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from aiohttp import hdrs, web

from server.comfy.pack_files import EXTENSIONS, PackFiles, file_below
from server.errors import NotFound
from server.packs import Packs
from server.routing import Route

PREFIX: Final = "/editor"
_PACKAGE: Final = "comfyui_frontend_package"
_ABSENT: Final = "The editor is not installed; install it with: pip install 'graphcore[editor]'."
_POLICY: Final = (
    "default-src 'self' data: blob: 'unsafe-inline' 'unsafe-eval'; connect-src 'self' data: blob:; "
    "object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'self'"
)
_TYPES: Final = {
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".woff2": "font/woff2",
    ".wasm": "application/wasm",
}


def editor_routes(protocol: Iterable[Route], packs: Packs) -> list[Route]:
    """The editor's files, and the protocol's routes again where its pages look for them."""
    files = EditorFiles(_static_folder(), PackFiles(packs))
    again = [
        Route(method=route.method, path=PREFIX + route.path, handler=route.handler, body=route.body)
        for route in protocol
        if route.path.startswith(("/api/", "/internal/", "/ws"))
    ]
    return [
        *again,
        Route(method="GET", path=PREFIX, handler=files.enter, page=True),
        Route(method="GET", path=f"{PREFIX}/", handler=files.index, page=True),
        Route(method="GET", path=f"{PREFIX}/{{path:.+}}", handler=files.get),
    ]


def _static_folder() -> Path | None:
    """Where the editor's files are; it is found without being imported."""
    found = find_spec(_PACKAGE)
    places = found.submodule_search_locations if found is not None else None
    folder = Path(places[0], "static") if places else None
    return folder if folder is not None and (folder / "index.html").is_file() else None


class EditorFiles:
    """The editor's files; None if it is not installed."""

    def __init__(self, folder: Path | None, packs: PackFiles) -> None:
        self._packs = packs
        self._folder = folder.resolve() if folder is not None else None

    async def enter(self, request: web.Request) -> web.StreamResponse:
        """The page's address ends with a slash, as its links are relative."""
        return web.Response(status=308, headers={hdrs.LOCATION: f"{PREFIX}/"})

    async def index(self, request: web.Request) -> web.StreamResponse:
        """The editor's page."""
        return await self.send("index.html")

    async def get(self, request: web.Request) -> web.StreamResponse:
        """A file of the editor, or one that a pack adds to it."""
        name = request.match_info["path"]
        pack, _, path = name.removeprefix(EXTENSIONS).partition("/")
        if name.startswith(EXTENSIONS) and self._packs.has(pack):
            return await self._packs.send(pack, path)
        return await self.send(name)

    async def send(self, name: str) -> web.StreamResponse:
        """A file of the editor; raises NotFound."""
        if self._folder is None:
            raise NotFound(_ABSENT)
        path = None if name.endswith(".map") else await asyncio.to_thread(file_below, self._folder, name)
        if path is None:
            raise NotFound
        response = web.FileResponse(path)
        response.content_type = (
            _TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        )
        response.headers["Content-Security-Policy"] = _POLICY
        lasting = name.startswith("assets/")
        response.headers[hdrs.CACHE_CONTROL] = "private, max-age=86400, immutable" if lasting else "no-cache"
        return response
