"""Routes that exist twice, and what ComfyUI's handlers share: lax bodies, and who asks."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Final

from aiohttp import web

from graphcore.errors import DocumentError
from graphcore.jsontext import JSON, parse_json
from server.api.operations import read_body
from server.routing import PRINCIPAL, Body, Handler, Route
from server.security.tokens import Principal

SOURCE: Final = "comfy"
_INLINE_BYTES: Final = 64 * 1024


def twofold(method: str, path: str, handler: Handler) -> list[Route]:
    """A route at `path` and below `/api`, which takes whatever body ComfyUI's clients send; GET brings HEAD."""
    body = Body.NONE if method == "GET" else Body.ANY
    methods = ("GET", "HEAD") if method == "GET" else (method,)
    return [
        Route(method=name, path=place, handler=handler, body=body)
        for place in (path, f"/api{path}")
        for name in methods
    ]


def asker(request: web.Request) -> Principal:
    """Who the request is from."""
    return request[PRINCIPAL]


async def lax_json(request: web.Request) -> JSON:
    """The body as JSON, whatever its content type says; an empty one is `{}`. Raises DocumentError."""
    data = await read_body(request)
    if not data.strip():
        return {}
    return parse_json(data) if len(data) <= _INLINE_BYTES else await asyncio.to_thread(parse_json, data)


async def lax_object(request: web.Request) -> dict[str, Any]:
    """The body as a JSON object; raises DocumentError for anything else."""
    body = await lax_json(request)
    if not isinstance(body, dict):
        raise DocumentError("The body must be a JSON object.", code="unknown-shape")
    return body


def answer(value: object, status: int = 200) -> web.Response:
    """JSON as the answer."""
    data = json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "backslashreplace")
    return json_bytes(data, status)


def json_bytes(data: bytes, status: int = 200) -> web.Response:
    """JSON that is bytes already, as the answer."""
    return web.Response(body=data, status=status, content_type="application/json", charset="utf-8")


def done() -> web.Response:
    """The empty answer to what has been done."""
    return web.Response()


def texts_of(value: object) -> frozenset[str]:
    """The texts of a list in a body; empty for anything else."""
    return frozenset(map(str, value)) if isinstance(value, list) else frozenset()
