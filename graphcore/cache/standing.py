"""Whether a kept result still stands: one that is a saved file does while the file is there."""

from __future__ import annotations

from collections.abc import Mapping

from graphcore.cache.entry import CacheEntry
from graphcore.files import Files


def still_there(entry: CacheEntry, files: Files) -> bool:
    """False if the entry showed a file that has gone since."""
    return not entry.shown or all(_file_there(item, files) for item in entry.shown)


def _file_there(item: Mapping[str, object], files: Files) -> bool:
    name, folder = item.get("filename"), item.get("type")
    if not isinstance(name, str) or folder not in ("output", "temp", "input"):
        return True
    subfolder = item.get("subfolder")
    return files.find(str(folder), f"{subfolder}/{name}" if subfolder else name) is not None
