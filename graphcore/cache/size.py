"""How many bytes a value holds, near enough for a budget."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping
from typing import Final

from graphcore.lists import Each

_SMALL: Final = (int, float, bool, type(None))


def size_of(value: object) -> int:
    """The bytes of a value: arrays and tensors by `nbytes`, containers and dataclasses by what they hold."""
    kind = type(value)
    if kind in _SMALL:
        return 32
    total = 0
    seen: set[int] = set()
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, _SMALL):
            total += 32
            continue
        if id(item) in seen:
            continue
        seen.add(id(item))
        nbytes = getattr(item, "nbytes", None)
        if isinstance(nbytes, int):
            total += nbytes + 64
        elif isinstance(item, (str, bytes, bytearray)):
            total += sys.getsizeof(item)
        elif isinstance(item, Each):
            pending.extend(item.items)
        elif isinstance(item, (list, tuple, set, frozenset)):
            total += 56 + 8 * len(item)
            pending.extend(item)
        elif isinstance(item, Mapping):
            total += 64 + 100 * len(item)
            pending.extend(item)
            pending.extend(item.values())
        elif dataclasses.is_dataclass(item) and not isinstance(item, type):
            total += 64
            pending.extend(getattr(item, entry.name) for entry in dataclasses.fields(item))
        else:
            total += 64
    return total
