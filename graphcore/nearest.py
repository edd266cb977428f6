"""The known name closest to an unknown one, at a bounded price: a hostile document must not buy hours of comparing."""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches
from typing import Final

_LONGEST_NAME: Final = 80
_MOST_KNOWN: Final = 5_000


class Suggestions:
    """Finds nearest names; after `budget` searches it finds none."""

    def __init__(self, budget: int = 100) -> None:
        self._left = budget

    def nearest(self, name: str, known: Collection[str]) -> str | None:
        """The member of `known` most like `name`, whatever the case of its letters, or None."""
        if self._left <= 0 or len(known) > _MOST_KNOWN:
            return None
        self._left -= 1
        return nearest_name(name, known)


def nearest_name(name: str, known: Collection[str]) -> str | None:
    """The member of `known` most like `name`, whatever the case of its letters, or None."""
    if len(name) > _LONGEST_NAME:
        return None
    found = get_close_matches(name, known, n=1)
    if found:
        return found[0]
    lowered = {entry.lower(): entry for entry in known}
    matches = get_close_matches(name.lower(), lowered, n=1)
    return lowered[matches[0]] if matches else None
