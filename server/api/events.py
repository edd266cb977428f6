"""A run's events as server-sent events: those that were, then those that come, with numbers to go on from."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final

from aiohttp import hdrs, web

from server.api.operations import Operation, Parameter, principal_of
from server.api.views import event_view
from server.errors import NotFound, QueueFull, RequestError
from server.hub import Message, Subscription
from server.ids import is_ulid
from server.records import Progress, StoredEvent
from server.services import Services

_log = logging.getLogger(__name__)
_HEARTBEAT_S: Final = 15.0
_STALLED_S: Final = 20.0
_STREAMS: Final = 2000
_BATCHES: Final = 16
_BUFFER_BYTES: Final = 256 * 1024


def event_operations(services: Services) -> list[Operation]:
    """The stream of a run's events."""
    return [
        Operation(
            method="GET",
            path="/runs/{run}/events",
            handler=EventStream(services).get,
            name="streamEvents",
            summary="Follow a run. Numbered events can be had again; progress and previews have no number.",
            tag="runs",
            media_type="text/event-stream",
            errors=(400, 404, 429),
            parameters=(
                Parameter(name="run", place="path", description="The run's id.", required=True),
                Parameter(name="Last-Event-ID", place="header", description="Go on after this number."),
                Parameter(
                    name="previews",
                    description="Send previews too.",
                    schema={"type": "boolean", "default": False},
                ),
            ),
        )
    ]


class EventStream:
    """Streams of runs' events. A reader that stalls is dropped; it may come back with Last-Event-ID."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def get(self, request: web.Request) -> web.StreamResponse:
        """Stream until the run has ended or the reader is gone."""
        run_id, jobs = request.match_info["run"], self._services.jobs
        if not is_ulid(run_id):
            raise NotFound("There is no such run.")
        run = await jobs.get(run_id, principal_of(request).scope)
        last = _last_event(request)
        if jobs.hub.watched >= _STREAMS:
            raise QueueFull("Too many streams are open; close some.", code="too-many-streams", retry_after=5)
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"}
        )
        response.headers[hdrs.CACHE_CONTROL] = "no-store"
        previews = request.query.get("previews", "").lower() in ("1", "true")
        subscription = jobs.subscribe(run)
        try:
            await response.prepare(request)
            if request.transport is not None:
                request.transport.set_write_buffer_limits(high=_BUFFER_BYTES)
            await _send(request, response, b": here\n\n")
            reader = _Reader(
                subscription, partial(jobs.events, run, batches=_BATCHES), last, run.state.finished
            )
            while not reader.ended:
                messages = await reader.next()
                await _send(request, response, self._written(messages, previews) or b": still here\n\n")
            await response.write_eof()
        except ConnectionResetError:
            _log.debug("A reader of the run %s is gone.", run_id)
        finally:
            subscription.close()
        return response

    def _written(self, messages: Sequence[Message], previews: bool) -> bytes:
        return b"".join(self._one(message, previews) for message in messages)

    def _one(self, message: Message, previews: bool) -> bytes:
        if isinstance(message, StoredEvent):
            data = json.dumps(
                event_view(message, self._services.redaction), separators=(",", ":"), ensure_ascii=False
            )
            return f"id: {message.number}\nevent: {message.kind}\ndata: {data}\n\n".encode(
                "utf-8", "backslashreplace"
            )
        return _progress(message, previews)


class _Reader:
    """Messages of a run without gaps: from the store while it has more, then as they come."""

    def __init__(
        self,
        subscription: Subscription,
        stored: Callable[[int], Awaitable[list[StoredEvent]]],
        last: int,
        finished: bool,
    ) -> None:
        self._subscription = subscription
        self._stored = stored
        self._last = last
        self._finished = finished
        self._behind = True
        self.ended = False

    async def next(self) -> list[Message]:
        """Some messages in order; none if nothing happened for a while."""
        if self._behind:
            messages: list[Message] = [*await self._stored(self._last)]
            self._behind = bool(messages)
            if not messages and not self._finished:
                messages = await self._live()
            self.ended = self._finished and not messages
        else:
            messages = await self._live()
        for message in messages:
            if isinstance(message, StoredEvent):
                self._last = message.number
                self.ended = self.ended or message.kind == "run-finished"
        return messages

    async def _live(self) -> list[Message]:
        messages = await self._subscription.next(_HEARTBEAT_S)
        if self._subscription.behind:
            self._subscription.behind = False
            self._behind = True
            return [message for message in messages if isinstance(message, Progress)]
        return [
            message for message in messages if isinstance(message, Progress) or message.number > self._last
        ]


def _progress(message: Progress, previews: bool) -> bytes:
    about: dict[str, object] = {"node": message.node, "done": message.done, "total": message.total}
    text = f"event: node-progress\ndata: {json.dumps(about, separators=(',', ':'))}\n\n"
    if previews and message.preview:
        picture = base64.b64encode(message.preview).decode("ascii")
        shown = {"node": message.node, "media_type": message.media_type, "data": picture}
        text += f"event: preview\ndata: {json.dumps(shown, separators=(',', ':'))}\n\n"
    return text.encode()


def _last_event(request: web.Request) -> int:
    text = request.headers.get("Last-Event-ID", "").strip()
    if not text:
        return -1
    if not text.isascii() or not text.isdecimal() or len(text) > 12:
        raise RequestError("Last-Event-ID must be the number of an event of this run.", code="bad-event-id")
    return int(text)


async def _send(request: web.Request, response: web.StreamResponse, data: bytes) -> None:
    """Write, or drop a reader that does not read."""
    try:
        async with asyncio.timeout(_STALLED_S):
            await response.write(data)
    except TimeoutError:
        if request.transport is not None:
            request.transport.abort()
        raise ConnectionResetError("The reader has stalled.") from None
