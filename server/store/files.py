"""Uploads in the store."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from server.uploads import Uploaded


def insert_upload(connection: sqlite3.Connection, uploaded: Uploaded, principal: str, created: float) -> None:
    """Note an upload; the first one of a picture is kept."""
    connection.execute(
        "INSERT OR IGNORE INTO uploads (id, principal, name, media_type, size, width, height, created)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            uploaded.id,
            principal,
            uploaded.name,
            uploaded.media_type,
            uploaded.size,
            uploaded.width,
            uploaded.height,
            created,
        ),
    )
