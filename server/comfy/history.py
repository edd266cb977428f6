"""The history: prompts that have ended, oldest first, from the store."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

from aiohttp import web

from server.comfy.entries import Redact, called, listed_run, read_finished
from server.comfy.live import prompt_id_of
from server.comfy.twofold import SOURCE, answer, asker, done, lax_object, texts_of, twofold
from server.records import RunRecord, State
from server.routing import Route
from server.security.tokens import Principal
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
        try:
            most, offset = _whole(request, "max_items"), _whole(request, "offset")
        except ValueError as error:
            return answer({"error": str(error)}, 400)
        query = partial(_page, asker=asker(request), most=most, offset=offset, redact=self._redact)
        return await asyncio.to_thread(answer, await self._database.read(query))

    async def get(self, request: web.Request) -> web.Response:
        prompt_id = request.match_info["prompt_id"]
        query = partial(_single, prompt_id=prompt_id, asker=asker(request), redact=self._redact)
        return answer(await self._database.read(query))

    async def change(self, request: web.Request) -> web.Response:
        body, who = await lax_object(request), asker(request)
        jobs, scope = self._services.jobs, who.scope
        if body.get("clear") is True and scope is None:
            await jobs.forget(None, SOURCE)
            return done()
        wanted = texts_of(body.get("delete"))
        if body.get("clear") is True:
            ended = RunFilter(states=ENDED, source=SOURCE, principal=scope, limit=MOST)
            await jobs.forget([run.id for run in await jobs.runs(ended)], SOURCE)
        elif wanted:
            await jobs.forget(await self._database.read(partial(_ids, prompts=wanted, asker=who)), SOURCE)
        return done()


def _single(
    connection: sqlite3.Connection, prompt_id: str, asker: Principal, redact: Redact
) -> dict[str, Any]:
    run = listed_run(connection, prompt_id, asker)
    return {} if run is None else _entries(connection, [run], asker, redact)


def _page(
    connection: sqlite3.Connection, asker: Principal, most: int | None, offset: int | None, redact: Redact
) -> dict[str, Any]:
    limit = MOST if most is None else min(most, MOST)
    newest = offset is None or offset < 0
    wanted = RunFilter(
        states=ENDED,
        source=SOURCE,
        principal=asker.scope,
        limit=limit,
        offset=0 if offset is None or newest else offset,
        oldest_first=not newest,
    )
    found = queries.list_runs(connection, wanted)
    return _entries(connection, found[::-1] if newest else found, asker, redact)


def _entries(
    connection: sqlite3.Connection, runs: Sequence[RunRecord], asker: Principal, redact: Redact
) -> dict[str, Any]:
    """Runs by prompt id, oldest first; of equal ids the asker's own wins, then the newest."""
    chosen: dict[str, RunRecord] = {}
    for run in called(runs, {prompt_id_of(run) for run in runs}, asker):
        chosen.pop(prompt_id_of(run), None)
        chosen[prompt_id_of(run)] = run
    entries = {}
    for prompt_id, run in chosen.items():
        finished = read_finished(connection, run, redact)
        if finished is not None:
            entries[prompt_id] = finished.entry()
    return entries


def _ids(connection: sqlite3.Connection, prompts: frozenset[str], asker: Principal) -> list[str]:
    found: list[RunRecord | None] = [listed_run(connection, prompt, asker) for prompt in prompts]
    return [run.id for run in found if run is not None]


def _whole(request: web.Request, name: str) -> int | None:
    text = request.query.get(name)
    if text is None or not text.strip():
        return None
    try:
        number = int(text[:20])
    except ValueError:
        raise ValueError(f"{name} must be an integer") from None
    return max(number, -1) if name == "offset" else max(number, 0)
