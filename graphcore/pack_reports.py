"""What became of each node pack that was to be loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class PackReport:
    """A node pack: its nodes, or why it could not be loaded.

    `left_out` names classes that are not offered, with the reason. `web` is the folder of its files for browsers.
    """

    name: str
    path: str
    nodes: tuple[str, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    web: str | None = None
    error: str | None = None

    def as_json(self) -> dict[str, Any]:
        """The report as plain JSON."""
        return asdict(self) | {"nodes": list(self.nodes), "left_out": dict(self.left_out)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> PackReport:
        """The report that `as_json` wrote."""
        return cls(**{**data, "nodes": tuple(data["nodes"])})
