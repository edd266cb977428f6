"""Where outputs are written: names from a prefix, numbered, whole or not at all, and never over another file."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from graphcore import InputError, ResourceError

_DATE = re.compile(r"%date:([^%]*)%")
_DATE_PART = re.compile(r"yyyy|yy|MM|M|dd|d|hh|h|mm|m|ss|s")
_MAX_PART = 180


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedFile:
    """A file that was written: its name, and its folder relative to the one that it was asked for."""

    filename: str
    subfolder: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputNames:
    """File names `prefix_00001_.png`, numbered on from what is there already.

    `prefix` may name sub-folders and hold %width%, %height%, %year%, %month%, %day%, %hour%, %minute%, %second%,
    %date:yyyy-MM-dd% and %batch_num%. It never leads out of `folder`.
    """

    folder: Path
    prefix: str
    suffix: str

    def write(self, data: bytes, values: Mapping[str, object], *, batch_number: int = 0) -> SavedFile:
        """Write a file under the next free name.

        Raises InputError for a prefix that leads out of the folder, ResourceError if the file cannot be written.
        """
        return self.fill(lambda draft: _wrote(draft, data), values, batch_number=batch_number)

    def fill(
        self, write: Callable[[Path], None], values: Mapping[str, object], *, batch_number: int = 0
    ) -> SavedFile:
        """The same for a file that `write` writes at the path that it is given, as large ones are."""
        parts = _parts(expanded(self.prefix, values))
        *subfolders, stem = parts
        stem = stem.replace("%batch_num%", str(batch_number))
        folder = self.folder.joinpath(*subfolders)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if not folder.resolve().is_relative_to(self.folder.resolve()):
                raise _outside(self.prefix)
            name = _write_new(folder, stem, self.suffix, write)
        except OSError as error:
            raise ResourceError(
                f"The file cannot be written into '{folder.name}' ({error.strerror or error}); free some space, or "
                "choose another output folder.",
                code="cannot-write",
            ) from error
        return SavedFile(filename=name, subfolder="/".join(subfolders))


def expanded(prefix: str, values: Mapping[str, object], now: datetime | None = None) -> str:
    """A prefix with its placeholders filled in; unknown ones stay as they are."""
    now = now or datetime.now().astimezone()
    known = {
        "year": f"{now:%Y}",
        "month": f"{now:%m}",
        "day": f"{now:%d}",
        "hour": f"{now:%H}",
        "minute": f"{now:%M}",
        "second": f"{now:%S}",
        **{name: str(value) for name, value in values.items()},
    }
    filled = _DATE.sub(lambda match: _date(match.group(1) or "yyyyMMddhhmmss", now), prefix)
    for name, value in known.items():
        filled = filled.replace(f"%{name}%", value)
    return filled


def _date(pattern: str, now: datetime) -> str:
    parts = {
        "yyyy": f"{now:%Y}",
        "yy": f"{now:%y}",
        "MM": f"{now:%m}",
        "M": str(now.month),
        "dd": f"{now:%d}",
        "d": str(now.day),
        "hh": f"{now:%H}",
        "h": str(now.hour),
        "mm": f"{now:%M}",
        "m": str(now.minute),
        "ss": f"{now:%S}",
        "s": str(now.second),
    }
    return _DATE_PART.sub(lambda match: parts[match.group()], pattern)


def _parts(prefix: str) -> list[str]:
    parts = prefix.replace("\\", "/").split("/")
    if len(parts) > 1 and parts[-1] == "":
        parts[-1] = "output"
    if prefix.startswith(("/", "\\")) or any(_unsafe(part) for part in parts) or len(parts) > 16:
        raise _outside(prefix)
    return parts


def _unsafe(part: str) -> bool:
    return part in ("", ".", "..") or len(part.encode()) > _MAX_PART or not part.isprintable() or ":" in part


def _outside(prefix: str) -> InputError:
    return InputError(
        f"The file name prefix {prefix[:120]!r} cannot be used; give a name, or sub-folders and a name, "
        "inside the output folder.",
        code="bad-filename-prefix",
    )


def _wrote(draft: Path, data: bytes) -> None:
    draft.write_bytes(data)


def _write_new(folder: Path, stem: str, suffix: str, write: Callable[[Path], None]) -> str:
    """Write beside the target first, then give it its name only if nobody has that name."""
    draft = folder / f".{secrets.token_hex(8)}.part"
    try:
        write(draft)
        number = _highest(folder, stem) + 1
        while True:
            name = f"{stem}_{number:05}_{suffix}"
            if _named(draft, folder / name):
                return name
            number += 1
    finally:
        draft.unlink(missing_ok=True)


def _named(draft: Path, target: Path) -> bool:
    """Give `draft` a second name, atomically; False if the name is taken."""
    try:
        os.link(draft, target)
    except FileExistsError:
        return False
    except OSError:
        return _copied(draft, target)
    return True


def _copied(draft: Path, target: Path) -> bool:
    """For file systems without hard links: reserve the name, then replace what stands for it."""
    try:
        target.touch(exist_ok=False)
    except FileExistsError:
        return False
    draft.replace(target)
    return True


def _highest(folder: Path, stem: str) -> int:
    numbered = re.compile(re.escape(stem) + r"_(\d{1,18})_?\.\w+\Z", re.IGNORECASE)
    found = [int(match.group(1)) for entry in folder.iterdir() if (match := numbered.match(entry.name))]
    return max(found, default=0)
