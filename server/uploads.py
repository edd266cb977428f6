"""Uploaded pictures: made anew, stored under a name that is their content's digest, which is also their id."""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from server.drafts import drafted
from server.pictures.service import PictureService
from server.store import files as rows
from server.store.database import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class Uploaded:
    """An uploaded picture. `id` is what a workflow names it by, as an input file."""

    id: str
    name: str
    media_type: str
    size: int
    width: int
    height: int


class Uploads:
    """Takes pictures into the input folder."""

    def __init__(self, *, database: Database, pictures: PictureService, folder: Path) -> None:
        self._database = database
        self._pictures = pictures
        self._folder = folder

    async def take(self, data: bytes, *, name: str, principal: str) -> Uploaded:
        """Store a picture; the same picture is stored once.

        Raises RequestError for what is no picture or too large, StoreError if it cannot be written.
        """
        picture = await self._pictures.remake(data, keep_text=True)
        digest = await asyncio.to_thread(lambda: hashlib.sha256(picture.data).hexdigest())
        uploaded = Uploaded(
            id=f"{digest[:40]}.png",
            name=_plain_name(name),
            media_type=picture.media_type,
            size=len(picture.data),
            width=picture.width,
            height=picture.height,
        )
        await asyncio.to_thread(write_once, self._folder / uploaded.id, picture.data)
        await self._database.write(
            partial(rows.insert_upload, uploaded=uploaded, principal=principal, created=time.time())
        )
        return uploaded


def write_once(path: Path, data: bytes) -> bool:
    """Write a file whole or not at all; False if it is there already, which is left as it is. Raises StoreError."""
    if path.exists():
        return False
    try:
        with drafted(path.parent, data) as draft:
            os.link(draft, path)
    except FileExistsError:
        return False
    return True


def _plain_name(name: str) -> str:
    """A client's name for a file, as a label and nothing else."""
    base = name.replace("\\", "/").rsplit("/", 1)[-1]
    return "".join(letter for letter in base if letter.isprintable())[:200] or "picture"
