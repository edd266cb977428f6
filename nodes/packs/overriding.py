"""Whether a pack's class has a method of its own, or only the one of the base class that we give it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def own_method(owner: Any, name: str) -> Callable[..., Any] | None:
    """A method of a class or of its instance that pack code has written, or None."""
    cls = owner if isinstance(owner, type) else type(owner)
    for base in cls.__mro__:
        if name in vars(base):
            if base.__module__.startswith("nodes.packs."):
                return None
            break
    found = getattr(owner, name, None)
    return found if callable(found) else None
