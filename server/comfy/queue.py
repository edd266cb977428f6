"""The queue: what runs and waits, taking out what waits, interrupting what runs, freeing memory."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress

from aiohttp import web

from server.comfy.entries import called, queue_item
from server.comfy.live import Live
from server.comfy.twofold import SOURCE, answer, asker, done, lax_object, texts_of, twofold
from server.errors import NotFound, RequestError
from server.records import RunRecord
from server.routing import Route
from server.services import Services


def queue_routes(services: Services, live: Live) -> list[Route]:
    """The queue's routes."""
    routes = _Queue(services, live)
    return [
        *twofold("GET", "/queue", routes.get),
        *twofold("POST", "/queue", routes.change),
        *twofold("POST", "/interrupt", routes.interrupt),
        *twofold("POST", "/free", routes.free),
    ]


class _Queue:
    def __init__(self, services: Services, live: Live) -> None:
        self._services = services
        self._jobs = services.jobs
        self._live = live

    async def get(self, request: web.Request) -> web.Response:
        running, waiting = self._runs(asker(request).scope)
        items = {"queue_running": await self._items(running), "queue_pending": await self._items(waiting)}
        return await asyncio.to_thread(answer, items)

    def _runs(self, scope: str | None) -> tuple[list[RunRecord], list[RunRecord]]:
        queue = self._jobs.queue(scope)
        return (
            [run for run in queue.running if run.source == SOURCE],
            [run for run in queue.waiting if run.source == SOURCE],
        )

    async def _items(self, runs: Iterable[RunRecord]) -> list[list[object]]:
        items = []
        for run in runs:
            with suppress(NotFound):
                items.append(queue_item(run, await self._jobs.request(run)))
        return items

    async def change(self, request: web.Request) -> web.Response:
        body, who = await lax_object(request), asker(request)
        running, waiting = self._runs(who.scope)
        named = {run.id for run in called((*running, *waiting), texts_of(body.get("delete")), who)}
        chosen = [run.id for run in waiting if body.get("clear") is True or run.id in named]
        if chosen:
            await self._jobs.clear_waiting(frozenset(chosen), who.scope)
            await self._jobs.forget(chosen, SOURCE)
        return done()

    async def interrupt(self, request: web.Request) -> web.Response:
        body, who = await lax_object(request), asker(request)
        (running, waiting), prompt_id = self._runs(who.scope), body.get("prompt_id")
        if prompt_id:
            named = {run.id for run in called((*running, *waiting), (str(prompt_id),), who)}
            chosen = [run for run in running if run.id in named]
        else:
            chosen = [run for run in running if self._live.has_begun(run.id)] or running[:1]
        for run in chosen:
            with suppress(RequestError):
                await self._jobs.cancel(run.id, who.scope, "interrupted")
        return done()

    async def free(self, request: web.Request) -> web.Response:
        body = await lax_object(request)
        results = bool(body.get("free_memory"))
        self._jobs.dispatcher.free(models=results or bool(body.get("unload_models")), results=results)
        return done()
