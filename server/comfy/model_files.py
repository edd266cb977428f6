"""Model files: their folders, their names, what a file says of itself, its picture."""

from __future__ import annotations

import asyncio
import json
import struct
from pathlib import Path, PurePosixPath
from typing import Any, Final

from aiohttp import web

from graphcore.files import Files
from server.comfy.twofold import answer, twofold
from server.errors import NotFound
from server.routing import Route
from server.services import Services

_HEADER_BYTES: Final = 64 * 2**20
_PICTURE_BYTES: Final = 32 * 2**20
_PICTURES: Final = (".preview.png", ".preview.webp", ".preview.jpg", ".png", ".webp", ".jpg", ".jpeg")
_OURS: Final = frozenset({"input", "output", "temp"})


def model_routes(services: Services) -> list[Route]:
    """The model files' routes."""
    routes = _Models(services)
    return [
        *twofold("GET", "/models", routes.folders),
        *twofold("GET", "/models/{folder}", routes.names),
        *twofold("GET", "/embeddings", routes.embeddings),
        *twofold("GET", "/view_metadata/{folder}", routes.metadata),
        *twofold("GET", "/experiment/models", routes.places),
        *twofold("GET", "/experiment/models/{folder}", routes.details),
        *twofold("GET", "/experiment/models/preview/{folder}/{path_index}/{filename:.*}", routes.picture),
    ]


class _Models:
    def __init__(self, services: Services) -> None:
        self._services = services
        self._files = services.files

    def _folder(self, request: web.Request) -> str:
        folder = request.match_info["folder"]
        if folder not in self._files.folders:
            raise NotFound("There is no such folder of models.")
        return folder

    async def folders(self, request: web.Request) -> web.Response:
        return answer(list(self._files.folders))

    async def names(self, request: web.Request) -> web.Response:
        return answer(list(await asyncio.to_thread(self._files.names, self._folder(request))))

    async def embeddings(self, request: web.Request) -> web.Response:
        names = await asyncio.to_thread(self._files.names, "embeddings")
        return answer([str(PurePosixPath(name).with_suffix("")) for name in names])

    async def metadata(self, request: web.Request) -> web.Response:
        name = request.query.get("filename", "")
        found = await asyncio.to_thread(_metadata, self._files, self._folder(request), name)
        if found is None:
            raise NotFound("There is no such file, or it says nothing of itself.")
        return answer(found)

    async def places(self, request: web.Request) -> web.Response:
        text = self._services.redaction.text
        return answer(
            [
                {"name": kind, "folders": [text(str(path)) for path in paths]}
                for kind, paths in self._files.folders.items()
                if kind != "configs"
            ]
        )

    async def details(self, request: web.Request) -> web.Response:
        return answer(await asyncio.to_thread(_details, self._files, self._folder(request)))

    async def picture(self, request: web.Request) -> web.Response:
        folder, name = self._folder(request), request.match_info["filename"]
        data = await asyncio.to_thread(_picture_of, self._files, folder, name)
        if data is None:
            raise NotFound("The model has no picture.")
        picture = await self._services.pictures.shrink(data, size=512)
        return web.Response(body=picture.data, content_type=picture.media_type)


def _metadata(files: Files, folder: str, name: str) -> dict[str, Any] | None:
    """What the header of a .safetensors file holds beside its tensors."""
    path = files.find(folder, name) if name.endswith(".safetensors") else None
    if path is None:
        return None
    try:
        with path.open("rb") as stream:
            (size,) = struct.unpack("<Q", stream.read(8))
            if size > _HEADER_BYTES:
                return None
            header = json.loads(stream.read(size))
    except (OSError, struct.error, ValueError, RecursionError):
        return None
    found = header.get("__metadata__") if isinstance(header, dict) else None
    return found if isinstance(found, dict) else None


def _details(files: Files, folder: str) -> list[dict[str, Any]]:
    found = []
    for name in files.names(folder):
        path = files.find(folder, name)
        if path is None:
            continue
        status = path.stat()
        place = next(index for index, base in enumerate(files.base(folder)) if path.is_relative_to(base))
        found.append(
            {
                "name": name,
                "pathIndex": place,
                "modified": status.st_mtime,
                "created": status.st_ctime,
                "size": status.st_size,
            }
        )
    return found


def _picture_of(files: Files, folder: str, name: str) -> bytes | None:
    path = files.find(folder, name)
    if path is None:
        return None
    for suffix in _PICTURES:
        beside = Path(path.parent, f"{path.stem}{suffix}")
        if beside.is_file() and beside.stat().st_size <= _PICTURE_BYTES:
            return beside.read_bytes()
    return None
