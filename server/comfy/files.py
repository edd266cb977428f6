"""Pictures that come in by name, and files that are looked at by name: inside our folders, and nowhere else."""

from __future__ import annotations

import asyncio
import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Final, Literal

from aiohttp import BodyPartReader, hdrs, web

from graphcore.files import safe_parts, split_annotation
from server.api.files import SANDBOX, OpenedFile, disposition, open_file, send_file
from server.comfy.twofold import answer, asker, twofold
from server.drafts import drafted
from server.errors import NotFound, RequestError
from server.pictures.service import Picture
from server.routing import Route
from server.security.tokens import Principal
from server.services import Services
from server.store import files as rows
from server.uploads import Uploaded

_FOLDERS: Final = ("input", "output", "temp")
_FIELD_BYTES: Final = 64 * 1024
_BODY_S: Final = 60.0
_SHRUNK_BYTES: Final = 256 * 2**20
_TRIES: Final = 10_000
_PREVIEW: Final = re.compile(r"(webp|jpeg)(?:;(\d{1,3}))?\Z")


def file_routes(services: Services) -> list[Route]:
    """Uploads, and files to look at."""
    uploads, views = _Uploads(services), _Views(services)
    return [
        *twofold("POST", "/upload/image", uploads.image),
        *twofold("POST", "/upload/mask", uploads.mask),
        *twofold("GET", "/view", views.get),
    ]


@dataclass(slots=True, kw_only=True)
class _Form:
    """A multipart form: the file, and the other fields as text."""

    data: bytes | None = None
    filename: str = ""
    fields: dict[str, str] = field(default_factory=dict)


class _Uploads:
    def __init__(self, services: Services) -> None:
        self._services = services

    async def image(self, request: web.Request) -> web.Response:
        form = await self._form(request)
        assert form.data is not None
        picture = await self._services.pictures.remake(form.data, keep_text=True)
        return await self._store(request, form, picture)

    async def mask(self, request: web.Request) -> web.Response:
        """The alpha of the upload is put on the picture that it was made for."""
        form = await self._form(request)
        assert form.data is not None
        original = await _found(self._services, asker(request), *_reference(form.fields.get("original_ref")))
        below = await asyncio.to_thread(original.path.read_bytes)
        return await self._store(request, form, await self._services.pictures.cover(below, form.data))

    async def _form(self, request: web.Request) -> _Form:
        if not request.content_type.startswith("multipart/"):
            raise RequestError(
                "Send the picture as a multipart form, in the field 'image'.", code="not-multipart"
            )
        try:
            async with asyncio.timeout(_BODY_S):
                form = await self._read_form(request)
        except TimeoutError:
            raise RequestError("The body took too long to arrive.", code="timeout", status=408) from None
        except (ValueError, AssertionError) as error:
            raise RequestError(f"The form cannot be read: {error}.", code="bad-form") from None
        if not form.data or not form.filename:
            raise RequestError("There is no file in the field 'image'.", code="no-file")
        return form

    async def _read_form(self, request: web.Request) -> _Form:
        form, most = _Form(), self._services.settings.max_upload_mib * 2**20
        async for part in await request.multipart():
            if not isinstance(part, BodyPartReader) or part.name is None or len(form.fields) > 32:
                raise ValueError("it has parts that are no fields")
            limit = most if part.name == "image" else _FIELD_BYTES
            data = bytearray()
            while piece := await part.read_chunk(64 * 1024):
                data += piece
                if len(data) > limit:
                    raise RequestError(
                        "The file is larger than the server takes.", code="too-large", status=413
                    )
            if part.name == "image":
                form.data, form.filename = bytes(data), part.filename or ""
            else:
                form.fields[part.name] = data.decode("utf-8")
        return form

    async def _store(self, request: web.Request, form: _Form, picture: Picture) -> web.Response:
        principal = asker(request)
        folder, subfolder = form.fields.get("type") or "input", form.fields.get("subfolder", "").strip("/\\")
        if folder not in _FOLDERS or (not principal.owner and folder != "input"):
            raise RequestError("The folder is input, temp or output.", code="bad-parameter")
        name = form.filename.replace("\\", "/").rsplit("/", 1)[-1]
        parts = safe_parts(f"{subfolder}/{name}" if subfolder else name)
        if (
            parts is None
            or name.startswith(".")
            or not all(part.isprintable() and len(part.encode()) < 200 for part in parts)
        ):
            raise RequestError("The name is not allowed.", code="bad-name")
        base = self._services.files.base(folder)[0]
        overwrite = principal.owner and form.fields.get("overwrite", "").lower() in ("true", "1")
        stored = await asyncio.to_thread(_write, base, parts, picture.data, overwrite=overwrite)
        shown = PurePosixPath(*parts[:-1], stored)
        uploaded = Uploaded(
            id=str(shown),
            name=stored,
            media_type=picture.media_type,
            size=len(picture.data),
            width=picture.width,
            height=picture.height,
        )
        if folder == "input":
            note = partial(
                rows.insert_upload, uploaded=uploaded, principal=principal.name, created=time.time()
            )
            await self._services.database.write(note)
        return answer({"name": stored, "subfolder": "/".join(parts[:-1]), "type": folder})


def _reference(text: str | None) -> tuple[str, str]:
    """The folder and the name in an `original_ref`."""
    try:
        held = json.loads(text or "")
    except ValueError:
        held = None
    if not isinstance(held, dict) or not isinstance(held.get("filename"), str):
        raise RequestError("'original_ref' must name a file, as JSON.", code="bad-parameter")
    annotated, plain = split_annotation(held["filename"])
    folder = annotated if plain != held["filename"] else str(held.get("type") or "output")
    subfolder = str(held.get("subfolder") or "").strip("/")
    return folder, f"{subfolder}/{plain}" if subfolder else plain


def _write(base: Path, parts: tuple[str, ...], data: bytes, *, overwrite: bool) -> str:
    """Write a file whole or not at all, and return its name: a numbered one if another file has it already."""
    folder = base.joinpath(*parts[:-1])
    if not folder.resolve().is_relative_to(base.resolve()):
        raise RequestError("The name is not allowed.", code="bad-name")
    try:
        with drafted(folder, data) as draft:
            if overwrite:
                draft.replace(folder / parts[-1])
                return parts[-1]
            for name in _names(parts[-1]):
                with suppress(FileExistsError):
                    os.link(draft, folder / name)
                    return name
                if _holds(folder / name, data):
                    return name
    except (FileExistsError, NotADirectoryError, IsADirectoryError):
        raise RequestError("A file or folder of this name is in the way.", code="bad-name") from None
    raise RequestError("There are too many files of this name.", code="bad-name", status=409)


def _holds(path: Path, data: bytes) -> bool:
    """True if a file has just this content."""
    return path.is_file() and path.stat().st_size == len(data) and path.read_bytes() == data


def _names(name: str) -> Iterator[str]:
    yield name
    stem, dot, suffix = name.rpartition(".")
    for number in range(1, _TRIES):
        yield f"{stem} ({number}).{suffix}" if dot and stem else f"{name} ({number})"


class _Views:
    def __init__(self, services: Services) -> None:
        self._services = services

    async def get(self, request: web.Request) -> web.StreamResponse:
        query = request.query
        folder, name = _asked_file(query.get("filename", ""), query.get("type"), query.get("subfolder", ""))
        opened = await _found(self._services, asker(request), folder, name)
        filename = name.rsplit("/", 1)[-1]
        channel, preview = query.get("channel", "rgba"), query.get("preview")
        wanted = _PREVIEW.match(preview or "")
        picture = opened.media_type.startswith("image/") and opened.size <= _SHRUNK_BYTES
        if picture and (wanted is not None or channel in ("rgb", "a")):
            return await self._made(opened, filename, wanted, channel)
        response = send_file(opened, filename)
        response.headers[hdrs.CONTENT_DISPOSITION] = _named(filename)
        response.headers[hdrs.CACHE_CONTROL] = "private, no-cache"
        return response

    async def _made(
        self, opened: OpenedFile, filename: str, wanted: re.Match[str] | None, channel: str
    ) -> web.Response:
        kind: Literal["webp", "jpeg", "png"] = "png"
        if wanted is not None:
            kind = "jpeg" if wanted[1] == "jpeg" else "webp"
        quality = min(100, max(1, int(wanted[2] or 90))) if wanted is not None else 90
        made = await self._services.pictures.shrink(
            await asyncio.to_thread(opened.path.read_bytes),
            kind=kind,
            quality=quality,
            channel="a" if channel == "a" else "rgb" if channel == "rgb" else "rgba",
        )
        headers = {hdrs.CONTENT_DISPOSITION: _named(filename), "Content-Security-Policy": SANDBOX}
        return web.Response(body=made.data, content_type=made.media_type, headers=headers)


def _named(filename: str) -> str:
    """A Content-Disposition that names a file and no more, as ComfyUI's clients expect it."""
    return disposition(filename, inline=True).removeprefix("inline; ")


def _asked_file(filename: str, kind: str | None, subfolder: str) -> tuple[str, str]:
    """The folder and the name that a query means; raises RequestError for what could lead elsewhere."""
    annotated, plain = split_annotation(filename)
    folder = annotated if plain != filename else kind or "output"
    if not plain or plain.startswith("/") or ".." in plain or folder not in _FOLDERS:
        raise RequestError("The file's name or type is not allowed.", code="bad-name")
    name = f"{subfolder.strip('/')}/{plain}" if subfolder.strip("/") else plain
    if safe_parts(name) is None or subfolder.startswith("/"):
        raise RequestError("The subfolder is not allowed.", code="bad-name", status=403)
    return folder, name


async def _found(services: Services, principal: Principal, folder: str, name: str) -> OpenedFile:
    """A file that somebody may see; raises NotFound, for those that are not theirs too."""
    opened = None
    if folder in _FOLDERS and await _may_see(services, principal, folder, name):
        opened = await asyncio.to_thread(open_file, services.files, folder, name)
    if opened is None:
        raise NotFound("There is no such file.")
    return opened


async def _may_see(services: Services, principal: Principal, folder: str, name: str) -> bool:
    if principal.owner:
        return True
    if folder == "input":
        query = "SELECT 1 FROM uploads WHERE id = ? AND principal = ?"
        return await services.database.read(
            lambda connection: connection.execute(query, (name, principal.name)).fetchone() is not None
        )
    subfolder, _, filename = name.rpartition("/")
    owners = await services.jobs.outputs_named(folder, subfolder, filename)
    return any(owner == principal.name for owner, _ in owners)
