"""Values that example pictures are made with, where what a node does at first cannot be seen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from graphcore.spec import NodeSpec

CHOSEN: Final[Mapping[str, Mapping[str, object]]] = {}


def chosen_values(spec: NodeSpec) -> tuple[tuple[str, object], ...]:
    """The values that a node's example is made with instead of its defaults."""
    chosen = CHOSEN.get(spec.name, {})
    return tuple((name, value) for name, value in chosen.items())
