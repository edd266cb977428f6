"""The history: prompts that have ended, oldest first, from the store."""

from __future__ import annotations

import sqlite3
from functools import partial
from typing import Any, Final

from aiohttp import web

from server.comfy.entries import Redact, listed_run, read_finished
from server.comfy.live import prompt_id_of
from server.comfy.twofold import SOURCE, answer, asker, done, lax_object, texts_of, twofold
from server.errors import RequestError
from server.records import RunRecord, State
from server.routing import Route
from server.services import Services
from server.store import queries
from server.store.queries import RunFilter

ENDED: Final = (State.SUCCEEDED, State.FAILED, State.CANCELLED)
MOST: Final = 10_000


def history_routes(services: Services) -> list[Route]:
    """The history's routes."""
    routes = _History(services)
    return [
        *twofold("GET", "/history", routes.index),
        *twofold("GET", "/history/{prompt_id}", routes.get),
        *twofold("POST", "/history", routes.change),
    ]


class _History:
    def __init__(self, services: Services) -> None:
        self._services = services
        self._database = services.database
        self._redact: Redact = services.redaction.value

    async def index(self, request: web.Request) -> web.Response:
        most, offset = _whole(request, "max_items"), _whole(request, "offset")
        query = partial(_page, scope=asker(request).scope, most=most, offset=offset, redact=self._redact)
        return answer(await self._database.read(query))

    async def get(self, request: web.Request) -> web.Response:
        prompt_id = request.match_info["prompt_id"]
        query = partial(_single, prompt_id=prompt_id, scope=asker(request).scope, redact=self._redact)
        return answer(await self._database.read(query))

    async def change(self, request: web.Request) -> web.Response:
        body, scope = await lax_object(request), asker(request).scope
        jobs = self._services.jobs
        if body.get("clear") is True and scope is None:
            await jobs.forget(None, SOURCE)
            return done()
        wanted = texts_of(body.get("delete"))
        if body.get("clear") is True:
            ended = RunFilter(states=ENDED, source=SOURCE, principal=scope, limit=MOST)
            await jobs.forget([run.id for run in await jobs.runs(ended)], SOURCE)
        elif wanted:
            await jobs.forget(await self._database.read(partial(_ids, prompts=wanted, scope=scope)), SOURCE)
        return done()


def _single(
    connection: sqlite3.Connection, prompt_id: str, scope: str | None, redact: Redact
) -> dict[str, Any]:
    run = listed_run(connection, prompt_id, scope)
    return {} if run is None else _entries(connection, [run], redact)


def _page(
    connection: sqlite3.Connection, scope: str | None, most: int | None, offset: int | None, redact: Redact
) -> dict[str, Any]:
    limit = MOST if most is None else min(most, MOST)
    newest = offset is None or offset < 0
    wanted = RunFilter(
        states=ENDED,
        source=SOURCE,
        principal=scope,
        limit=limit,
        offset=0 if offset is None or newest else offset,
        oldest_first=not newest,
    )
    found = queries.list_runs(connection, wanted)
    return _entries(connection, reversed(found) if newest else found, redact)


def _entries(connection: sqlite3.Connection, runs: Any, redact: Redact) -> dict[str, Any]:
    entries = {}
    for run in runs:
        finished = read_finished(connection, run, redact)
        if finished is not None:
            entries[prompt_id_of(run)] = finished.entry()
    return entries


def _ids(connection: sqlite3.Connection, prompts: frozenset[str], scope: str | None) -> list[str]:
    found: list[RunRecord | None] = [listed_run(connection, prompt, scope) for prompt in prompts]
    return [run.id for run in found if run is not None]


def _whole(request: web.Request, name: str) -> int | None:
    text = request.query.get(name)
    if text is None or not text.strip():
        return None
    try:
        number = int(text[:20])
    except ValueError:
        raise RequestError(f"'{name}' must be a whole number.", code="bad-parameter") from None
    return max(number, -1) if name == "offset" else max(number, 0)
