"""The jobs: queue and history in one list, with sorting and paging."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import Any, Final

from aiohttp import web

from server.comfy.entries import Finished, called, listed_run, queue_item, read_finished
from server.comfy.history import MOST
from server.comfy.live import prompt_id_of
from server.comfy.prompt import plain_number
from server.comfy.twofold import SOURCE, answer, asker, lax_object, texts_of
from server.errors import NotFound, RequestError
from server.records import RunRecord, RunRequest, State
from server.routing import Body, Route
from server.security.tokens import Principal
from server.services import Services
from server.store import queries
from server.store.queries import RunFilter

_STATUS: Final[Mapping[State, str]] = {
    State.QUEUED: "pending",
    State.RUNNING: "in_progress",
    State.SUCCEEDED: "completed",
    State.FAILED: "failed",
    State.CANCELLED: "failed",
}
_KNOWN: Final = (*dict.fromkeys(_STATUS.values()), "cancelled")
_MEDIA: Final = ("images", "video", "audio")
_SOLIDS: Final = (".obj", ".fbx", ".gltf", ".glb")


class _Wrong(Exception):
    """A parameter that cannot be used."""


def job_routes(services: Services) -> list[Route]:
    """The jobs' routes. Where they come from their paths have the prefix already, so that they exist with two."""
    routes = _Jobs(services)
    found = []
    for prefix in ("", "/api", "/api/api"):
        for method in ("GET", "HEAD"):
            found.append(Route(method=method, path=f"{prefix}/jobs", handler=routes.index))
            found.append(Route(method=method, path=f"{prefix}/jobs/{{job}}", handler=routes.get))
        found.append(
            Route(method="POST", path=f"{prefix}/jobs/cancel", handler=routes.cancel_several, body=Body.ANY)
        )
        found.append(
            Route(method="POST", path=f"{prefix}/jobs/{{job}}/cancel", handler=routes.cancel, body=Body.ANY)
        )
    return found


class _Jobs:
    def __init__(self, services: Services) -> None:
        self._services = services

    async def index(self, request: web.Request) -> web.Response:
        query = request.query
        try:
            states = _states(query.get("status"))
            by_duration, ascending = _order(query)
            limit, offset = _paging(query)
        except _Wrong as error:
            return answer({"error": str(error)}, 400)
        found = await self._services.database.read(
            partial(
                _collect,
                states=states,
                scope=asker(request).scope,
                workflow=query.get("workflow_id"),
                by_duration=by_duration,
                ascending=ascending,
                limit=limit,
                offset=offset,
                redact=self._services.redaction.value,
            )
        )
        jobs, total = found
        more = limit is not None and offset + len(jobs) < total
        pagination = {"offset": offset, "limit": limit, "total": total, "has_more": more}
        return await asyncio.to_thread(answer, {"jobs": jobs, "pagination": pagination})

    async def get(self, request: web.Request) -> web.Response:
        job, who = request.match_info["job"], asker(request)
        queue = self._services.jobs.queue(who.scope)
        runs = [run for run in (*queue.running, *queue.waiting) if run.source == SOURCE]
        finished = await self._services.database.read(
            partial(_finished, job=job, asker=who, redact=self._services.redaction.value)
        )
        for run in called(runs, (job,), who):
            if finished is not None and finished.run.principal == who.name != run.principal:
                break
            with suppress(NotFound):
                asked = await self._services.jobs.request(run)
                return answer(_open_job(run, asked) | {"outputs": {}, "workflow": _workflow(run, asked)})
        if finished is None:
            return answer({"error": "Job not found"}, 404)
        detail = {
            "outputs": finished.outputs,
            "execution_status": finished.status,
            "workflow": _workflow(finished.run, finished.request),
        }
        return answer(_ended_job(finished) | detail)

    async def cancel(self, request: web.Request) -> web.Response:
        """Cancel a job, whether it waits or runs; one that has ended stays as it is."""
        job, who = request.match_info["job"], asker(request)
        if await self._cancel(frozenset({job}), who):
            return answer({"cancelled": True})
        known = await self._services.database.read(partial(listed_run, prompt_id=job, asker=who))
        return answer({"error": "Job not found"}, 404) if known is None else answer({"cancelled": False})

    async def cancel_several(self, request: web.Request) -> web.Response:
        jobs = texts_of((await lax_object(request)).get("job_ids"))
        return answer({"cancelled": await self._cancel(jobs, asker(request))})

    async def _cancel(self, jobs: frozenset[str], who: Principal) -> list[str]:
        """Cancel open jobs; the ids of those that were open."""
        queue, cancelled = self._services.jobs.queue(who.scope), []
        runs = [run for run in (*queue.running, *queue.waiting) if run.source == SOURCE]
        for run in called(runs, jobs, who):
            with suppress(RequestError):
                await self._services.jobs.cancel(run.id, who.scope, "interrupted")
                cancelled.append(prompt_id_of(run))
        return cancelled


def _finished(connection: sqlite3.Connection, job: str, asker: Principal, redact: Any) -> Finished | None:
    run = listed_run(connection, job, asker)
    return None if run is None else read_finished(connection, run, redact)


def _collect(
    connection: sqlite3.Connection,
    *,
    states: tuple[State, ...],
    scope: str | None,
    workflow: str | None,
    by_duration: bool,
    ascending: bool,
    limit: int | None,
    offset: int,
    redact: Any,
) -> tuple[list[dict[str, Any]], int]:
    """A page of jobs and how many there are in all. Only the page's jobs are read whole."""
    if not states:
        return [], 0
    wanted = RunFilter(states=states, source=SOURCE, principal=scope, limit=MOST, oldest_first=ascending)
    found = queries.list_runs(connection, wanted)
    if workflow is not None:
        found = [run for run in found if _workflow_of(queries.get_request(connection, run.seq)) == workflow]
    if by_duration:
        found.sort(key=_seconds, reverse=not ascending)
    page = found[offset:] if limit is None else found[offset : offset + limit]
    jobs = []
    for run in page:
        if run.state.finished:
            finished = read_finished(connection, run, redact)
            if finished is not None:
                jobs.append(_ended_job(finished))
        else:
            request = queries.get_request(connection, run.seq)
            if request is not None:
                jobs.append(_open_job(run, request))
    return jobs, len(found)


def _seconds(run: RunRecord) -> float:
    if run.started is None or run.finished is None:
        return 0.0
    return run.finished - run.started


def _open_job(run: RunRecord, request: RunRequest) -> dict[str, Any]:
    job = {
        "id": prompt_id_of(run),
        "status": _STATUS[run.state],
        "priority": plain_number(run.position),
        "create_time": int(run.created * 1000),
        "execution_start_time": _milliseconds(run.started),
        "execution_end_time": _milliseconds(run.finished),
        "outputs_count": 0,
        "workflow_id": _workflow_of(request),
    }
    return {name: value for name, value in job.items() if value is not None}


def _ended_job(finished: Finished) -> dict[str, Any]:
    job = _open_job(finished.run, finished.request)
    count, preview = _outputs(finished.outputs)
    job["outputs_count"] = count
    if preview is not None:
        job["preview_output"] = preview
    error = next((said.data for said in finished.said if said.type == "execution_error"), None)
    if error is not None and not finished.succeeded:
        job["execution_error"] = error
    return job


def _outputs(outputs: Mapping[str, Mapping[str, list[Any]]]) -> tuple[int, dict[str, Any] | None]:
    """How many items the nodes showed, and the one to show for all: kept ones before passing ones."""
    count, preview, passing = 0, None, None
    for node, ui in outputs.items():
        for kind, items in ui.items():
            if kind == "animated":
                continue
            count += len(items)
            for item in items:
                if isinstance(item, dict) and _previewable(kind, item):
                    found = {**item, "nodeId": node, "mediaType": kind}
                    if item.get("type") == "output":
                        preview = preview or found
                    else:
                        passing = passing or found
    return count, preview or passing


def _previewable(kind: str, item: Mapping[str, Any]) -> bool:
    if kind in _MEDIA or str(item.get("format", "")).startswith(("video/", "audio/")):
        return True
    return str(item.get("filename", "")).lower().endswith(_SOLIDS)


def _workflow(run: RunRecord, request: RunRequest) -> dict[str, Any]:
    item = queue_item(run, request)
    return {"prompt": item[2], "extra_data": item[3]}


def _workflow_of(request: RunRequest | None) -> str | None:
    workflow = request.metadata.get("workflow") if request is not None else None
    found = workflow.get("id") if isinstance(workflow, Mapping) else None
    return None if found is None else str(found)


def _milliseconds(seconds: float | None) -> int | None:
    return None if seconds is None else int(seconds * 1000)


def _states(text: str | None) -> tuple[State, ...]:
    names = [name.strip().lower() for name in text.split(",") if name.strip()] if text else list(_KNOWN)
    unknown = [name for name in names if name not in _KNOWN]
    if unknown:
        raise _Wrong(f"Invalid status value(s): {', '.join(unknown)}. Valid values: {', '.join(_KNOWN)}")
    return tuple(state for state, name in _STATUS.items() if name in names)


def _order(query: Mapping[str, str]) -> tuple[bool, bool]:
    by, order = query.get("sort_by", "created_at").lower(), query.get("sort_order", "desc").lower()
    if by not in ("created_at", "execution_duration"):
        raise _Wrong("sort_by must be 'created_at' or 'execution_duration'")
    if order not in ("asc", "desc"):
        raise _Wrong("sort_order must be 'asc' or 'desc'")
    return by == "execution_duration", order == "asc"


def _paging(query: Mapping[str, str]) -> tuple[int | None, int]:
    limit: int | None = None
    if "limit" in query:
        limit = _whole(query["limit"], "limit")
        if limit < 1:
            raise _Wrong("limit must be a positive integer")
    return limit, max(0, _whole(query.get("offset", "0"), "offset"))


def _whole(text: str, name: str) -> int:
    try:
        return int(text[:20])
    except ValueError:
        raise _Wrong(f"{name} must be an integer") from None
