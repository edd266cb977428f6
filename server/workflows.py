"""Saved workflows: documents under names, which programs call with the declared inputs as plain JSON."""

from __future__ import annotations

import hashlib
import re
import sqlite3
import time
from dataclasses import dataclass
from functools import partial
from typing import Final

from server.errors import NotFound, RequestError
from server.store.database import Database

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._ -]{0,99}\Z")
_MOST: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedWorkflow:
    """A document under a name. Times are seconds since the epoch; `digest` changes with the document."""

    name: str
    document: bytes
    digest: str
    created: float
    updated: float


class SavedWorkflows:
    """The saved workflows of each principal."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def all(self, principal: str) -> list[SavedWorkflow]:
        """All of them, by name."""
        return await self._database.read(partial(_list, principal=principal))

    async def get(self, name: str, principal: str) -> SavedWorkflow:
        """One of them; raises NotFound."""
        found = await self._database.read(partial(_get, name=name, principal=principal))
        if found is None:
            raise NotFound("There is no workflow of this name.")
        return found

    async def save(self, name: str, document: bytes, principal: str) -> tuple[SavedWorkflow, bool]:
        """Save a document; True if the name is new. Raises RequestError for a name that cannot be one."""
        if not _NAME.match(name) or name.endswith((" ", ".")):
            raise RequestError(
                "A workflow's name is 1 to 100 letters, digits, spaces and '._-', and begins with a letter or digit.",
                code="bad-name",
                status=422,
            )
        now = time.time()
        saved = SavedWorkflow(
            name=name,
            document=document,
            digest=hashlib.sha256(document).hexdigest(),
            created=now,
            updated=now,
        )
        return await self._database.write(partial(_save, saved=saved, principal=principal))

    async def delete(self, name: str, principal: str) -> None:
        """Delete one; raises NotFound."""
        if not await self._database.write(partial(_delete, name=name, principal=principal)):
            raise NotFound("There is no workflow of this name.")


def _list(connection: sqlite3.Connection, principal: str) -> list[SavedWorkflow]:
    rows = connection.execute(
        "SELECT name, document, digest, created, updated FROM workflows WHERE principal = ? ORDER BY name",
        (principal,),
    )
    return [_record(row) for row in rows]


def _get(connection: sqlite3.Connection, name: str, principal: str) -> SavedWorkflow | None:
    row = connection.execute(
        "SELECT name, document, digest, created, updated FROM workflows WHERE principal = ? AND name = ?",
        (principal, name),
    ).fetchone()
    return None if row is None else _record(row)


def _save(connection: sqlite3.Connection, saved: SavedWorkflow, principal: str) -> tuple[SavedWorkflow, bool]:
    before = _get(connection, saved.name, principal)
    count = connection.execute("SELECT COUNT(*) FROM workflows WHERE principal = ?", (principal,)).fetchone()[
        0
    ]
    if before is None and count >= _MOST:
        raise RequestError(
            f"There are {_MOST} saved workflows already; delete some.", code="quota", status=422
        )
    connection.execute(
        "INSERT INTO workflows (principal, name, document, digest, created, updated) VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (principal, name) DO UPDATE SET document = excluded.document, digest = excluded.digest,"
        " updated = excluded.updated",
        (principal, saved.name, saved.document, saved.digest, saved.created, saved.updated),
    )
    found = _get(connection, saved.name, principal)
    assert found is not None
    return found, before is None


def _delete(connection: sqlite3.Connection, name: str, principal: str) -> bool:
    return (
        connection.execute(
            "DELETE FROM workflows WHERE principal = ? AND name = ?", (principal, name)
        ).rowcount
        == 1
    )


def _record(row: tuple[str, bytes, str, float, float]) -> SavedWorkflow:
    return SavedWorkflow(name=row[0], document=bytes(row[1]), digest=row[2], created=row[3], updated=row[4])
