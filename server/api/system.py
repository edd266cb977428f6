"""The server itself: nodes, models, queue, health, metrics, memory, sessions."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Sequence
from typing import Any

from aiohttp import web

from graphcore import __version__
from graphcore.files import MODEL_KINDS
from graphcore.formats.object_info import object_info
from graphcore.schema import workflow_schema
from server.api.models import (
    FreeRequest,
    HealthModel,
    MemoryModel,
    ModelsModel,
    NodesModel,
    QueueModel,
    SessionRequest,
    StatusModel,
)
from server.api.operations import Operation, json_answer, principal_of, read_model
from server.api.views import run_view, worker_views
from server.errors import RequestError
from server.records import State
from server.security.tokens import COOKIE
from server.services import Services


def system_operations(services: Services) -> list[Operation]:
    """The operations on the server itself."""
    routes = _System(services)
    return [
        _get(
            "/nodes",
            routes.nodes,
            "listNodes",
            "All node types, as ComfyUI's object_info describes them.",
            NodesModel,
        ),
        Operation(
            method="GET",
            path="/schema",
            handler=routes.schema,
            name="getSchema",
            summary="The JSON Schema of native workflows.",
            tag="system",
            media_type="application/schema+json",
        ),
        _get("/models", routes.models, "listModels", "Names of model files, by kind.", ModelsModel),
        _get("/queue", routes.queue, "getQueue", "What is under way, and what waits, in order.", QueueModel),
        _post("/queue/pause", routes.pause, "pauseQueue", "Begin no more runs.", StatusModel),
        _post("/queue/resume", routes.resume, "resumeQueue", "Begin runs again.", StatusModel),
        _get("/status", routes.status, "getStatus", "How the server and its workers stand.", StatusModel),
        _get("/memory", routes.memory, "getMemory", "What the processes hold.", MemoryModel),
        Operation(
            method="POST",
            path="/memory/free",
            handler=routes.free,
            name="freeMemory",
            summary="Let go of models or of cached results, after the present run.",
            tag="system",
            request=FreeRequest,
            status=204,
            errors=(400, 415, 422),
        ),
        Operation(
            method="GET",
            path="/metrics",
            handler=routes.metrics,
            name="getMetrics",
            summary="Figures for Prometheus.",
            tag="system",
            media_type="text/plain",
        ),
        Operation(
            method="GET",
            path="/health",
            handler=routes.health,
            name="getHealth",
            summary="Whether the server works. Answers without a token.",
            tag="system",
            response=HealthModel,
            errors=(503,),
            open=True,
        ),
        Operation(
            method="POST",
            path="/session",
            handler=routes.open_session,
            name="openSession",
            summary="Exchange the token for a cookie, for browsers.",
            tag="system",
            request=SessionRequest,
            status=204,
            errors=(400, 401, 415, 422),
            open=True,
        ),
        Operation(
            method="DELETE",
            path="/session",
            handler=routes.close_session,
            name="closeSession",
            summary="Drop the cookie.",
            tag="system",
            status=204,
        ),
    ]


def _get(path: str, handler: Any, name: str, summary: str, response: Any) -> Operation:
    return Operation(
        method="GET", path=path, handler=handler, name=name, summary=summary, tag="system", response=response
    )


def _post(path: str, handler: Any, name: str, summary: str, response: Any) -> Operation:
    return Operation(
        method="POST", path=path, handler=handler, name=name, summary=summary, tag="system", response=response
    )


class _System:
    def __init__(self, services: Services) -> None:
        self._services = services

    async def nodes(self, request: web.Request) -> web.Response:
        packs, text = self._services.packs, self._services.redaction.text
        await packs.refresh()
        found = await asyncio.to_thread(object_info, self._services.registry, self._services.files)
        reports = [
            {
                "name": report.name,
                "nodes": list(report.nodes),
                "left_out": dict(report.left_out),
                "error": None if report.error is None else text(report.error),
            }
            for report in packs.reports
        ]
        return web.json_response({"nodes": found, "packs": reports})

    async def schema(self, request: web.Request) -> web.Response:
        schema = await asyncio.to_thread(workflow_schema, self._services.registry)
        return web.Response(body=json.dumps(schema).encode(), content_type="application/schema+json")

    async def models(self, request: web.Request) -> web.Response:
        files = self._services.files
        found = await asyncio.to_thread(
            lambda: {kind: list(files.names(kind)) for kind in sorted(MODEL_KINDS)}
        )
        return json_answer(ModelsModel(models=found))

    async def queue(self, request: web.Request) -> web.Response:
        snapshot = self._services.jobs.queue(principal_of(request).scope)
        redaction, jobs = self._services.redaction, self._services.jobs
        return json_answer(
            QueueModel(
                paused=snapshot.paused,
                running=[
                    run_view(run, redaction, progress=jobs.progress(run.id)) for run in snapshot.running
                ],
                waiting=[run_view(run, redaction, place=place) for place, run in enumerate(snapshot.waiting)],
            )
        )

    async def pause(self, request: web.Request) -> web.Response:
        self._own(request)
        self._services.jobs.pause()
        return await self.status(request)

    async def resume(self, request: web.Request) -> web.Response:
        self._own(request)
        self._services.jobs.resume()
        return await self.status(request)

    async def free(self, request: web.Request) -> web.Response:
        asked, _ = await read_model(request, FreeRequest)
        self._own(request)
        self._services.jobs.dispatcher.free(models=asked.models, results=asked.results)
        return web.Response(status=204)

    async def status(self, request: web.Request) -> web.Response:
        jobs = self._services.jobs
        return json_answer(
            StatusModel(
                version=__version__,
                uptime=time.time() - self._services.started,
                paused=jobs.dispatcher.paused,
                running=jobs.remaining - jobs.waiting,
                waiting=jobs.waiting,
                nodes=len(self._services.registry),
                workers=worker_views(jobs.dispatcher.slots, self._services.redaction),
            )
        )

    async def health(self, request: web.Request) -> web.Response:
        ready = any(slot.ready for slot in self._services.jobs.dispatcher.slots)
        return json_answer(HealthModel(status="ok" if ready else "degraded"))

    async def memory(self, request: web.Request) -> web.Response:
        slots = self._services.jobs.dispatcher.slots
        reports = await asyncio.gather(*(slot.worker.memory() for slot in slots))
        named = {slot.worker.name: dict(report) for slot, report in zip(slots, reports, strict=True)}
        return json_answer(MemoryModel(server={"rss": _resident_bytes()}, workers=named))

    async def metrics(self, request: web.Request) -> web.Response:
        return web.Response(text=self._metrics(), content_type="text/plain", charset="utf-8")

    def _metrics(self) -> str:
        jobs, database = self._services.jobs, self._services.database
        finished = jobs.dispatcher.finished
        slots = jobs.dispatcher.slots
        ended = [(f'{{state="{state.value}"}}', finished[state]) for state in State if state.finished]
        figures: list[tuple[str, str, str, Sequence[tuple[str, float]]]] = [
            ("runs_accepted_total", "counter", "Runs taken since the start.", [("", jobs.accepted)]),
            ("runs_finished_total", "counter", "Runs ended since the start.", ended),
            ("runs_waiting", "gauge", "Runs that wait.", [("", jobs.waiting)]),
            ("runs_running", "gauge", "Runs under way.", [("", jobs.remaining - jobs.waiting)]),
            ("event_streams", "gauge", "Event streams that are open.", [("", jobs.hub.watched)]),
            (
                "worker_starts_total",
                "counter",
                "Starts of workers.",
                [("", sum(slot.starts for slot in slots))],
            ),
            ("workers_ready", "gauge", "Workers that take runs.", [("", sum(slot.ready for slot in slots))]),
            ("store_commits_total", "counter", "Transactions of the store.", [("", database.commits)]),
            ("store_changes_total", "counter", "Changes in them.", [("", database.changes)]),
            (
                "webhooks_delivered_total",
                "counter",
                "Webhooks taken.",
                [("", self._services.webhooks.delivered)],
            ),
            ("resident_bytes", "gauge", "Memory of the server process.", [("", _resident_bytes())]),
        ]
        lines = []
        for name, kind, text, values in figures:
            lines += [f"# HELP graphcore_{name} {text}", f"# TYPE graphcore_{name} {kind}"]
            lines += [f"graphcore_{name}{labels} {value}" for labels, value in values]
        return "\n".join(lines) + "\n"

    async def open_session(self, request: web.Request) -> web.Response:
        asked, _ = await read_model(request, SessionRequest)
        cookie = self._services.tokens.session(asked.token)
        if cookie is None:
            raise RequestError("This token is not known.", code="unauthorized", status=401)
        response = web.Response(status=204)
        response.set_cookie(
            COOKIE,
            cookie,
            httponly=True,
            samesite="Strict",
            secure=request.secure,
            path="/",
            max_age=30 * 86400,
        )
        return response

    async def close_session(self, request: web.Request) -> web.Response:
        response = web.Response(status=204)
        response.del_cookie(COOKIE, path="/")
        return response

    @staticmethod
    def _own(request: web.Request) -> None:
        if not principal_of(request).owner:
            raise RequestError("Only the owner may do this.", code="not-the-owner", status=403)


def _resident_bytes() -> int:
    try:
        with open("/proc/self/statm", encoding="ascii") as stream:  # noqa: PTH123 - a file of the kernel
            return int(stream.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0
