"""Folders of pictures with captions beside them (`cat.png`, `cat.txt`), as trainers of LoRAs read them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from graphcore.errors import InputError, ResourceError
from graphcore.files import IMAGE_SUFFIXES, safe_parts
from nodes.diffusion.pictures import read_picture
from nodes.values import Image

MAX_CAPTION_BYTES: Final = 100_000
_REPEATED: Final = re.compile(r"(\d{1,3})_.+\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Captioned:
    """A picture file, and its caption ("" if it has none)."""

    picture: Path
    caption: str


def dataset_folder(root: Path, name: str) -> Path:
    """The folder of that name below `root`; ResourceError if there is none, or it would lead out of it."""
    parts = safe_parts(name)
    folder = root.joinpath(*parts) if parts is not None else root
    if parts is None or not folder.is_dir() or not folder.resolve().is_relative_to(root.resolve()):
        raise ResourceError(
            f"There is no folder '{name[:80]}' in the input folder; put your pictures into one there.",
            code="file-not-found",
            location=name[:80],
        )
    return folder


def picture_files(folder: Path) -> list[Path]:
    """The pictures of a folder and of those right below it, in order of their names.

    A folder below that is called `10_name` counts ten times, as kohya's trainer reads it.
    """
    found = _pictures_in(folder)
    for inner in sorted(path for path in folder.iterdir() if path.is_dir() and path.name[:1] != "."):
        repeats = _REPEATED.match(inner.name)
        found += _pictures_in(inner) * (int(repeats[1]) if repeats else 1)
    if not found:
        raise InputError(
            f"There is no picture in the folder '{folder.name}'; put PNG, JPEG or WebP files there.",
            code="empty-list",
            location=folder.name,
        )
    return found


def captioned(folder: Path) -> list[Captioned]:
    """The pictures of a folder with the text beside each, in a file of its name with .txt or .caption."""
    return [Captioned(picture=path, caption=_caption(path)) for path in picture_files(folder)]


def pictures(paths: Sequence[Path]) -> list[Image]:
    """The first frames of picture files; each file is read once."""
    read = {path: Image(read_picture(path).image.pixels[:1]) for path in dict.fromkeys(paths)}
    return [read[path] for path in paths]


def _pictures_in(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in IMAGE_SUFFIXES and path.name[:1] != "." and path.is_file()
    )


def _caption(picture: Path) -> str:
    for suffix in (".txt", ".caption"):
        beside = picture.with_suffix(suffix)
        if beside.is_file():
            try:
                if beside.stat().st_size > MAX_CAPTION_BYTES:
                    raise InputError(
                        f"The caption {beside.name} has more than {MAX_CAPTION_BYTES} bytes; shorten it.",
                        code="bad-caption",
                    )
                return beside.read_text(encoding="utf-8-sig").strip()
            except (OSError, UnicodeDecodeError) as error:
                raise InputError(
                    f"The caption {beside.name} cannot be read as text ({error}); correct it.",
                    code="bad-caption",
                ) from error
    return ""
