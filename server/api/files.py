"""Pictures that come in, and files that runs made. Ids alone name them; what they are is read from their bytes."""

from __future__ import annotations

import asyncio
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

from aiohttp import hdrs, web

from graphcore.files import Files
from server.api.models import FileModel
from server.api.operations import Operation, Parameter, int_parameter, json_answer, principal_of, read_body
from server.errors import NotFound, RequestError
from server.ids import is_ulid
from server.routing import Body
from server.services import Services

_HEAD_BYTES: Final = 32
_SHRUNK_BYTES: Final = 256 * 2**20
_LASTING: Final = "private, max-age=86400, immutable"
_NOT_FOUND: Final = "There is no such output."
SANDBOX: Final = "sandbox; default-src 'none'"


@dataclass(frozen=True, slots=True)
class OpenedFile:
    """A file that may be sent: its path, its media type by its first bytes, its size."""

    path: Path
    media_type: str
    size: int


def file_operations(services: Services) -> list[Operation]:
    """Uploads."""
    return [
        Operation(
            method="POST",
            path="/files",
            handler=_Files(services).upload,
            name="uploadFile",
            summary="Upload a picture: the file itself is the body. It is stored anew, as a PNG without metadata.",
            tag="files",
            body=Body.BINARY,
            response=FileModel,
            status=201,
            errors=(400, 413, 415, 422, 503, 507),
            parameters=(Parameter(name="name", description="What the file is called."),),
        )
    ]


class _Files:
    def __init__(self, services: Services) -> None:
        self._services = services

    async def upload(self, request: web.Request) -> web.Response:
        data = await read_body(request)
        if len(data) > self._services.settings.max_upload_mib * 2**20:
            raise RequestError("The file is larger than the server takes.", code="too-large", status=413)
        if not data:
            raise RequestError("The body is empty; send the file itself.", code="empty-body", status=422)
        uploaded = await self._services.uploads.take(
            data, name=request.query.get("name", ""), principal=principal_of(request).name
        )
        shown = FileModel(
            id=uploaded.id,
            name=uploaded.name,
            media_type=uploaded.media_type,
            size=uploaded.size,
            width=uploaded.width,
            height=uploaded.height,
        )
        return json_answer(shown, status=201)


class OutputFiles:
    """Serves what runs made."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def get(self, request: web.Request) -> web.StreamResponse:
        """One output, or a small copy of it."""
        run_id, output_id = request.match_info["run"], request.match_info["output"]
        if not is_ulid(run_id):
            raise NotFound(_NOT_FOUND)
        jobs = self._services.jobs
        try:
            run = await jobs.get(run_id, principal_of(request).scope)
        except NotFound:
            raise NotFound(_NOT_FOUND) from None
        entry = next((entry for entry in await jobs.outputs(run) if entry.id == output_id), None)
        if entry is None:
            raise NotFound(_NOT_FOUND)
        name = f"{entry.subfolder}/{entry.filename}" if entry.subfolder else entry.filename
        opened = await asyncio.to_thread(open_file, self._services.files, entry.folder, name)
        if opened is None:
            raise NotFound(_NOT_FOUND)
        size = int_parameter(request, "size", 0, 16, 4096)
        if size:
            return await self._small(opened, size)
        return send_file(opened, entry.filename)

    async def _small(self, opened: OpenedFile, size: int) -> web.Response:
        if not opened.media_type.startswith("image/") or opened.size > _SHRUNK_BYTES:
            raise RequestError("Only pictures can be had small.", code="not-a-picture", status=422)
        picture = await self._services.pictures.shrink(
            await asyncio.to_thread(opened.path.read_bytes), size=size
        )
        headers = {"Content-Security-Policy": SANDBOX, hdrs.CACHE_CONTROL: _LASTING}
        return web.Response(body=picture.data, content_type=picture.media_type, headers=headers)


def open_file(files: Files, folder: str, name: str) -> OpenedFile | None:
    """A regular file inside a folder of ours, symbolic links followed and contained; None otherwise."""
    path = files.find(folder, name)
    if path is None:
        return None
    try:
        resolved = path.resolve(strict=True)
        if not any(resolved.is_relative_to(base.resolve()) for base in files.base(folder)):
            return None
        status = resolved.stat()
        if not stat.S_ISREG(status.st_mode):
            return None
        with resolved.open("rb") as stream:
            head = stream.read(_HEAD_BYTES)
    except OSError:
        return None
    return OpenedFile(resolved, media_type_of(head), status.st_size)


def media_type_of(head: bytes) -> str:
    """What a file is by its first bytes: a raster picture or a film; anything else is only bytes."""
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    if head[:6] in (b"GIF87a", b"GIF89a"):
        return "image/gif"
    if head[4:8] == b"ftyp":
        return "video/mp4"
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        return "video/webm"
    return "application/octet-stream"


def send_file(opened: OpenedFile, filename: str) -> web.FileResponse:
    """A file as the answer: shown if it is a picture or a film, else to be saved; never run as a page."""
    shown = opened.media_type != "application/octet-stream"
    response = web.FileResponse(opened.path)
    response.content_type = opened.media_type
    response.headers[hdrs.CONTENT_DISPOSITION] = disposition(filename, inline=shown)
    response.headers["Content-Security-Policy"] = SANDBOX
    response.headers[hdrs.CACHE_CONTROL] = _LASTING
    return response


def disposition(filename: str, *, inline: bool) -> str:
    """A Content-Disposition that a file's name cannot break out of (RFC 6266)."""
    base = os.path.basename(filename)  # noqa: PTH119 - a name, not a path
    plain = "".join(
        letter if letter.isascii() and letter.isprintable() and letter not in '"\\%;' else "_"
        for letter in base
    )
    return f"{'inline' if inline else 'attachment'}; filename=\"{plain}\"; filename*=UTF-8''{quote(base, safe='')}"
