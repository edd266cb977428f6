"""What the server refused, as an exception."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from graphcore.errors import GraphcoreError


class ApiError(GraphcoreError):
    """The server answered with an error.

    `status` is the HTTP status, `problems` everything that is wrong with a workflow, `retry_after` the seconds to
    wait where the server says so.
    """

    code = "api"

    def __init__(self, status: int, error: Mapping[str, Any], retry_after: float | None = None) -> None:
        super().__init__(str(error.get("message", f"HTTP {status}")), code=str(error.get("code", "http")))
        self.status = status
        self.problems: list[Mapping[str, Any]] = list(error.get("problems") or [])
        self.retry_after = retry_after


def api_error(status: int, body: bytes, retry_after: str | None) -> ApiError:
    """The error of an answer, whatever its body is."""
    try:
        error = json.loads(body)["error"]
    except (ValueError, KeyError, TypeError):
        error = {}
    seconds = float(retry_after) if retry_after is not None and retry_after.isdecimal() else None
    return ApiError(status, error if isinstance(error, dict) else {}, seconds)
