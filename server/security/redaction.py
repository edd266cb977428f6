"""Keeps this machine's folders out of what clients are told."""

from __future__ import annotations

import re
import sys
import sysconfig
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

_ROOTS: Final = "home|root|usr|opt|var|tmp|etc|mnt|srv|media|run|proc|dev|Users|Volumes|private|Library"


class Redaction:
    """Replaces the folders that the server knows of, and any other absolute path, by what they are or end with."""

    def __init__(self, folders: Mapping[str, Iterable[Path]]) -> None:
        known: dict[str, str] = {}
        for name, paths in folders.items():
            for path in paths:
                known[str(path)] = f"<{name}>"
                known[str(path.absolute())] = f"<{name}>"
        for root in {
            sys.prefix,
            sys.base_prefix,
            sysconfig.get_paths()["purelib"],
            str(Path(__file__).parents[2]),
        }:
            known.setdefault(root, "<python>")
        known.setdefault(str(Path.home()), "<home>")
        self._known = {
            path: name for path, name in known.items() if len(path) > 1 and Path(path).is_absolute()
        }
        longest_first = sorted(self._known, key=len, reverse=True)
        self._folders = re.compile("|".join(re.escape(path) for path in longest_first))
        unix = rf"(?:(?<![\w<>/:.])|(?<=\\[nrt]))/(?:{_ROOTS})(?:/[\w.@+-]+)+/?"
        self._paths = re.compile(rf"{unix}|\b[A-Za-z]:\\[^\s'\"]+")

    def text(self, text: str) -> str:
        """A text without the folders of this machine."""
        replaced = self._folders.sub(lambda match: self._known[match[0]], text)
        return self._paths.sub(lambda match: re.split(r"[\\/]", match[0].rstrip("\\/"))[-1], replaced)

    def value(self, value: Any) -> Any:
        """JSON without them, whatever its shape."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.value(item) for item in value]
        if isinstance(value, dict):
            return {name: item if name == "pointer" else self.value(item) for name, item in value.items()}
        return value
