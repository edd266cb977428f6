"""How a command ended."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output as one JSON document."""
        return json.loads(self.out)


def write_json(path: Path, document: object) -> Path:
    """Write a document as JSON; returns the path."""
    path.write_text(json.dumps(document), encoding="utf-8")
    return path
