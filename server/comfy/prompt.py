"""POST /prompt: a graph is assessed, and what can run of it becomes a run like any other."""

from __future__ import annotations

import asyncio
import math
import re
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import hdrs, web

from graphcore.errors import DocumentError
from graphcore.jsontext import JSON
from server.comfy import wire_errors as wire
from server.comfy.acceptance import Refused, assess
from server.comfy.live import Live
from server.comfy.twofold import SOURCE, answer, asker, lax_object, twofold
from server.errors import RequestError, ServerError
from server.records import Submission
from server.routing import Route
from server.sealing import seal
from server.security.tokens import Principal
from server.services import Services

_LONGEST_ID: Final = 256
_SECRET: Final = re.compile(
    r"(?:^|[_-])(?:auth|auth_?token|token|api_?key|key|secret|password|credentials?)(?:[_-]|$)", re.IGNORECASE
)
_PICTURES: Final = "extra_pnginfo"
_GRAPHS: Final = frozenset({"workflow", "prompt"})
_PREVIEW_METHODS: Final = frozenset({"auto", "latent2rgb", "taesd"})


def prompt_routes(services: Services, live: Live) -> list[Route]:
    """Queueing a prompt, and how many there are."""
    routes = _Prompts(services, live)
    return [*twofold("POST", "/prompt", routes.post), *twofold("GET", "/prompt", routes.get)]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What a client asks for. `number` is a place in the queue, `front` the first one."""

    prompt: JSON
    prompt_id: str
    client_id: str | None
    number: float | None
    front: bool
    targets: frozenset[str] | None
    extra: Mapping[str, Any]
    pictures: Mapping[str, Any]

    @classmethod
    def read(cls, body: Mapping[str, Any]) -> _Asked:
        """Read a request's body; raises RequestError."""
        given = body.get("extra_data")
        extra = _without_secrets(given) if isinstance(given, dict) else {}
        client_id = body.get("client_id", extra.get("client_id"))
        if client_id is not None:
            extra["client_id"] = client_id = _checked_id("client_id", str(client_id))
        extra["create_time"] = int(time.time() * 1000)
        pictures = extra.pop(_PICTURES, None)
        targets = body.get("partial_execution_targets")
        return cls(
            prompt=body["prompt"],
            prompt_id=_checked_id("prompt_id", str(body.get("prompt_id") or uuid.uuid4())),
            client_id=client_id,
            number=_number(body.get("number")),
            front=bool(body.get("front")),
            targets=frozenset(map(str, targets)) if isinstance(targets, list) else None,
            extra=extra,
            pictures=pictures if isinstance(pictures, dict) else {},
        )


class _Prompts:
    def __init__(self, services: Services, live: Live) -> None:
        self._services = services
        self._live = live

    async def get(self, request: web.Request) -> web.Response:
        remaining = self._live.remaining(asker(request).scope)
        return answer({"exec_info": {"queue_remaining": remaining}})

    async def post(self, request: web.Request) -> web.Response:
        try:
            return await self._queue(request)
        except DocumentError as error:
            return _refusal(wire.whole_error("invalid_json", "Invalid JSON", error.message))
        except ServerError as error:
            refusal = _refusal(wire.whole_error(error.code, error.message), error.status)
            if error.retry_after is not None:
                refusal.headers[hdrs.RETRY_AFTER] = str(error.retry_after)
            return refusal

    async def _queue(self, request: web.Request) -> web.Response:
        services, principal = self._services, asker(request)
        body = await lax_object(request)
        if "prompt" not in body:
            return _refusal(wire.no_prompt())
        asked = _Asked.read(body)
        found = await asyncio.to_thread(assess, asked.prompt, asked.targets, services.checker.rules)
        redact = services.redaction.value
        if isinstance(found, Refused):
            return _refusal(redact(found.error), node_errors=redact(dict(found.node_errors)))
        kept: dict[str, Any] = {"extra_data": asked.extra}
        if not found.whole:
            kept["prompt"] = asked.prompt
        submission = Submission(
            document=found.document,
            targets=found.outputs,
            number=asked.number,
            front=asked.front,
            previews=self._wants_previews(asked, principal),
            keep_going=False,
            metadata=asked.pictures,
            extra=kept,
            principal=principal.name,
            source=SOURCE,
            alias=asked.prompt_id,
            client=asked.client_id,
        )
        accepted = await services.jobs.submit(seal(submission, found.secrets))
        return answer(
            {
                "prompt_id": asked.prompt_id,
                "number": plain_number(accepted.run.position),
                "node_errors": redact(dict(found.node_errors)),
            }
        )

    def _wants_previews(self, asked: _Asked, principal: Principal) -> bool:
        """True if the client named a method, or left it to us and is the editor."""
        method = asked.extra.get("preview_method")
        if method not in (None, "default") or asked.client_id is None:
            return method in _PREVIEW_METHODS
        connection = self._live.find(principal, asked.client_id)
        return connection is not None and connection.shows_previews


def _refusal(
    error: wire.WireError, status: int = 400, *, node_errors: Mapping[str, Any] | None = None
) -> web.Response:
    return answer({"error": error, "node_errors": node_errors or {}}, status)


def plain_number(number: float) -> int | float:
    """A number without a fraction that says nothing."""
    return int(number) if number.is_integer() else number


def _without_secrets(value: Any) -> Any:
    """What a client sent along, without what its name calls a secret (`api_key_comfy_org`, say); not in graphs."""
    if isinstance(value, list):
        return [_without_secrets(held) for held in value]
    if not isinstance(value, dict):
        return value
    return {
        name: held if name in _GRAPHS else _without_secrets(held)
        for name, held in value.items()
        if not _SECRET.search(name)
    }


def _checked_id(name: str, text: str) -> str:
    if not 0 < len(text) <= _LONGEST_ID:
        raise RequestError(f"'{name}' is 1 to {_LONGEST_ID} characters.", code="bad-parameter")
    return text


def _number(value: object) -> float | None:
    if value is None:
        return None
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise RequestError("'number' must be a finite number.", code="bad-parameter")
    return number
