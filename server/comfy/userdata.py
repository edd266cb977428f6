"""Files that clients keep on the server for their users (workflows, templates), in a folder for each principal."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from aiohttp import hdrs, web

from graphcore.files import safe_parts
from server.api.files import SANDBOX
from server.api.operations import read_body
from server.comfy.twofold import answer, asker, twofold
from server.drafts import drafted
from server.errors import NotFound, RequestError
from server.routing import Route
from server.services import Services

_MOST_FILES: Final = 10_000
_MOST_BYTES: Final = 512 * 2**20
_DEPTH: Final = 16
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")


class UserFiles:
    """The files of each principal. Names are relative, never lead out, and never through a link."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def base(self, principal: str) -> Path:
        """The folder of a principal."""
        name = principal if _NAME.match(principal) else hashlib.sha256(principal.encode()).hexdigest()[:40]
        return self._folder / name

    def path(self, principal: str, name: str) -> Path:
        """The path of a name; raises RequestError for one that leads elsewhere."""
        parts = safe_parts(name)
        if (
            parts is None
            or len(parts) > _DEPTH
            or not all(part.isprintable() and len(part.encode()) < 200 for part in parts)
        ):
            raise RequestError("The name is not allowed.", code="bad-name", status=403)
        base = self.base(principal)
        path = base.joinpath(*parts)
        if not path.resolve().is_relative_to(base.resolve()):
            raise RequestError("The name is not allowed.", code="bad-name", status=403)
        return path

    def read(self, principal: str, name: str) -> bytes | None:
        """A file's content, or None."""
        try:
            return self.path(principal, name).read_bytes()
        except OSError:
            return None

    def write(self, principal: str, name: str, data: bytes, *, overwrite: bool = True) -> Path:
        """Write a file whole or not at all; raises RequestError (409) for one that is there and may not be replaced."""
        path = self.path(principal, name)
        if path.is_dir() or (not overwrite and path.exists()):
            raise _exists()
        self._check_room(principal, len(data))
        try:
            with drafted(path.parent, data) as draft:
                draft.replace(path)
        except (FileExistsError, NotADirectoryError):
            raise _exists() from None
        return path

    def delete(self, principal: str, name: str) -> bool:
        """Delete a file, or a folder; False if there is none."""
        path = self.path(principal, name)
        if path.is_file():
            path.unlink()
        elif path.is_dir():
            shutil.rmtree(path)
        else:
            return False
        return True

    def move(self, principal: str, name: str, target: str, *, overwrite: bool) -> Path:
        """Give a file another name; raises NotFound, or RequestError (409)."""
        source, path = self.path(principal, name), self.path(principal, target)
        if not source.is_file():
            raise NotFound("There is no such file.")
        if path.is_dir() or (not overwrite and path.exists()):
            raise _exists()
        path.parent.mkdir(parents=True, exist_ok=True)
        source.replace(path)
        return path

    def walk(self, principal: str, folder: str, *, recurse: bool) -> Iterator[Path]:
        """The files of a folder; raises NotFound."""
        start = self.path(principal, folder) if folder else self.base(principal)
        if not start.is_dir():
            raise NotFound("There is no such folder.")
        for root, folders, names in os.walk(start):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(names):
                if not name.startswith("."):
                    yield Path(root, name)
            if not recurse:
                return

    def _check_room(self, principal: str, more: int) -> None:
        base = self.base(principal)
        sizes = [path.stat().st_size for path in base.rglob("*") if path.is_file()] if base.is_dir() else []
        if len(sizes) >= _MOST_FILES or sum(sizes) + more > _MOST_BYTES:
            raise RequestError(
                "Your files take all the room that they may; delete some.", code="quota", status=507
            )


def _exists() -> RequestError:
    return RequestError("There is a file of this name.", code="file-exists", status=409)


def userdata_routes(services: Services, files: UserFiles) -> list[Route]:
    """The files' routes."""
    routes = _UserData(files)
    return [
        *twofold("GET", "/userdata", routes.index),
        *twofold("GET", "/v2/userdata", routes.rows),
        *twofold("GET", "/userdata/{file}", routes.get),
        *twofold("POST", "/userdata/{file}", routes.post),
        *twofold("DELETE", "/userdata/{file}", routes.delete),
        *twofold("POST", "/userdata/{file}/move/{dest}", routes.move),
    ]


class _UserData:
    def __init__(self, files: UserFiles) -> None:
        self._files = files

    async def index(self, request: web.Request) -> web.Response:
        folder = request.query.get("dir", "")
        if not folder:
            raise RequestError("The parameter 'dir' is missing.", code="bad-parameter")
        return answer(await asyncio.to_thread(self._listing, asker(request).name, folder, request))

    def _listing(self, principal: str, folder: str, request: web.Request) -> list[Any]:
        base = self._files.path(principal, folder)
        found: list[Any] = []
        for path in self._files.walk(principal, folder, recurse=_flag(request, "recurse")):
            name = path.relative_to(base).as_posix()
            if _flag(request, "full_info"):
                found.append(_about(path, name))
            elif _flag(request, "split"):
                found.append([name, *name.split("/")])
            else:
                found.append(name)
        return found

    async def rows(self, request: web.Request) -> web.Response:
        return answer(await asyncio.to_thread(self._rows, asker(request).name, request.query.get("path", "")))

    def _rows(self, principal: str, folder: str) -> list[dict[str, Any]]:
        start = self._files.path(principal, folder) if folder else self._files.base(principal)
        if not start.is_dir():
            if folder:
                raise NotFound("There is no such folder.")
            return []
        base = self._files.base(principal)
        found = []
        for path in start.iterdir():
            if path.name.startswith("."):
                continue
            row: dict[str, Any] = {
                "name": path.name,
                "path": path.relative_to(base).as_posix(),
                "type": "directory" if path.is_dir() else "file",
            }
            if path.is_file():
                status = path.stat()
                row |= {"size": status.st_size, "modified": int(status.st_mtime * 1000)}
            found.append(row)
        return sorted(found, key=lambda row: (row["type"] != "directory", row["name"].lower()))

    async def get(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["file"]
        data = await asyncio.to_thread(self._files.read, asker(request).name, name)
        if data is None:
            raise NotFound("There is no such file.")
        kind = "application/json" if name.endswith(".json") else "application/octet-stream"
        headers = {"Content-Security-Policy": SANDBOX, hdrs.CACHE_CONTROL: "no-store"}
        return web.Response(body=data, content_type=kind, headers=headers)

    async def post(self, request: web.Request) -> web.Response:
        principal, name = asker(request).name, request.match_info["file"]
        data, overwrite = await read_body(request), _flag(request, "overwrite", default=True)
        path = await asyncio.to_thread(self._files.write, principal, name, data, overwrite=overwrite)
        return self._told(request, principal, path)

    async def delete(self, request: web.Request) -> web.Response:
        if not await asyncio.to_thread(self._files.delete, asker(request).name, request.match_info["file"]):
            raise NotFound("There is no such file.")
        return web.Response(status=204)

    async def move(self, request: web.Request) -> web.Response:
        principal, overwrite = asker(request).name, _flag(request, "overwrite", default=True)
        name, target = request.match_info["file"], request.match_info["dest"]
        path = await asyncio.to_thread(self._files.move, principal, name, target, overwrite=overwrite)
        return self._told(request, principal, path)

    def _told(self, request: web.Request, principal: str, path: Path) -> web.Response:
        name = path.relative_to(self._files.base(principal)).as_posix()
        return answer(_about(path, name) if _flag(request, "full_info") else name)


def _flag(request: web.Request, name: str, *, default: bool = False) -> bool:
    text = request.query.get(name)
    return default if text is None else text.lower() == "true"


def _about(path: Path, name: str) -> dict[str, Any]:
    status = path.stat()
    return {
        "path": name,
        "size": status.st_size,
        "modified": int(status.st_mtime * 1000),
        "created": int(status.st_ctime * 1000),
    }
