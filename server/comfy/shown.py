"""What nodes showed, in the form of ComfyUI's `ui` dictionaries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def ui_of(items: Iterable[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """The items that a node showed, by kind; an item that is a single text or value stands for that, an empty one for
    nothing of its kind.
    """
    found: dict[str, list[Any]] = {}
    for item in items:
        rest = {name: value for name, value in item.items() if name != "kind"}
        single = next(iter(rest)) if len(rest) == 1 else None
        items_of_kind = found.setdefault(str(item.get("kind", "images")), [])
        if rest:
            items_of_kind.append(rest[single] if single in ("text", "value") else rest)
    return found
