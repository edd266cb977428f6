"""What columns that are not plain numbers and texts hold."""

from __future__ import annotations

import json


def dumps(value: object) -> str:
    """Compact JSON."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, default=str)
