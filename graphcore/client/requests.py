"""Requests of the native API, for both clients: method, path, body, headers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from graphcore.errors import InputError

PREFIX: Final = "/api/v1"
WAIT_S: Final = 30.0
Source = str | Path | Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request; `body` is sent as it is."""

    method: str
    path: str
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


def submit_request(
    workflow: Source,
    *,
    inputs: Mapping[str, Any] | None,
    targets: Sequence[str] | None,
    priority: int,
    previews: bool,
    idempotency_key: str | None,
) -> Request:
    """Submit a workflow: a document, the path of one, or the name of a saved one."""
    asked: dict[str, Any] = {
        "workflow": _document(workflow),
        "inputs": dict(inputs or {}),
        "priority": priority,
    }
    if targets is not None:
        asked["targets"] = list(targets)
    if previews:
        asked["previews"] = True
    headers = {} if idempotency_key is None else {"Idempotency-Key": idempotency_key}
    return json_request("POST", "/runs", asked, headers)


def json_request(method: str, path: str, body: object, headers: Mapping[str, str] | None = None) -> Request:
    """A request with a JSON body."""
    return Request(
        method=method,
        path=PREFIX + path,
        body=json.dumps(body).encode(),
        headers={"Content-Type": "application/json", **(headers or {})},
    )


def plain_request(method: str, path: str) -> Request:
    """A request without a body."""
    return Request(method=method, path=PREFIX + path)


def upload_request(file: Path | bytes, name: str) -> Request:
    """Upload a picture."""
    data = file if isinstance(file, bytes) else file.read_bytes()
    label = name or (file.name if isinstance(file, Path) else "picture")
    return Request(
        method="POST",
        path=f"{PREFIX}/files?name={quote(label, safe='')}",
        body=data,
        headers={"Content-Type": "application/octet-stream"},
    )


def segment(text: str) -> str:
    """A text as one part of a path."""
    return quote(text, safe="")


def _document(workflow: Source) -> Any:
    if isinstance(workflow, Path):
        try:
            return json.loads(workflow.read_bytes())
        except ValueError as error:
            raise InputError(
                f"The file '{workflow.name}' is not JSON.", code="not-json", location=str(workflow)
            ) from error
    return workflow
