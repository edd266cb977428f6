"""The page's own files: text, styles and scripts, under a policy that lets nothing else in."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from aiohttp import hdrs, web

from server.errors import NotFound

FOLDER: Final = Path(__file__).parent / "static"
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
_TYPES: Final = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}


class PageFiles:
    """The files below a folder, known by name before anybody asks."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self._known = {
            path.relative_to(folder).as_posix(): path
            for path in folder.rglob("*")
            if path.suffix in _TYPES and path.is_file()
        }

    async def index(self, request: web.Request) -> web.StreamResponse:
        """The page."""
        return self._send("index.html")

    async def get(self, request: web.Request) -> web.StreamResponse:
        """One of its files; raises NotFound."""
        return self._send(request.match_info["path"])

    def _send(self, name: str) -> web.StreamResponse:
        path = self._known.get(name)
        if path is None:
            raise NotFound
        response = web.FileResponse(path)
        response.content_type = _TYPES[path.suffix]
        response.charset = "utf-8"
        response.headers["Content-Security-Policy"] = POLICY
        response.headers[hdrs.CACHE_CONTROL] = "no-cache"
        return response
