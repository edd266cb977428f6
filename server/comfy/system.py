"""The machine, as far as clients are told of it, and the log of prompts."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import psutil
from aiohttp import web

from graphcore import __version__
from server.comfy.features import COMFYUI_VERSION
from server.comfy.live import Live
from server.comfy.log import PromptLog
from server.comfy.twofold import answer, asker, done, lax_object, twofold
from server.errors import RequestError
from server.routing import Body, Route
from server.services import Services


def system_routes(services: Services, live: Live) -> list[Route]:
    """The system's routes."""
    routes = _System(services, live)
    internal = "/internal"
    return [
        *twofold("GET", "/system_stats", routes.stats),
        Route(method="GET", path=f"{internal}/logs", handler=routes.log),
        Route(method="GET", path=f"{internal}/logs/raw", handler=routes.raw_log),
        Route(method="PATCH", path=f"{internal}/logs/subscribe", handler=routes.subscribe, body=Body.ANY),
        Route(method="GET", path=f"{internal}/folder_paths", handler=routes.folders),
        Route(method="GET", path=f"{internal}/files/{{kind}}", handler=routes.files),
    ]


class _System:
    def __init__(self, services: Services, live: Live) -> None:
        self._services = services
        self._live = live
        self._log = PromptLog(services, live)

    async def stats(self, request: web.Request) -> web.Response:
        memory = psutil.virtual_memory()
        system = {
            "os": sys.platform,
            "ram_total": memory.total,
            "ram_free": memory.available,
            "comfyui_version": COMFYUI_VERSION,
            "graphcore_version": __version__,
            "required_frontend_version": None,
            "installed_templates_version": None,
            "required_templates_version": None,
            "python_version": sys.version,
            "pytorch_version": _version_of("torch"),
            "embedded_python": False,
            "argv": [],
        }
        slots = [slot for slot in self._services.jobs.dispatcher.slots if slot.ready]
        reports = await asyncio.gather(*(slot.worker.memory() for slot in slots))
        devices = [
            _device(slot.device, place, report)
            for place, (slot, report) in enumerate(zip(slots, reports, strict=True))
        ]
        return answer({"system": system, "devices": devices or [_device("cpu", 0, {})]})

    async def log(self, request: web.Request) -> web.Response:
        entries = self._log.entries(asker(request).scope)
        return answer("".join(f"{entry['t']} - {entry['m']}" for entry in entries))

    async def raw_log(self, request: web.Request) -> web.Response:
        return answer(self._log.told(self._log.entries(asker(request).scope)))

    async def subscribe(self, request: web.Request) -> web.Response:
        body = await lax_object(request)
        connection = self._live.find(asker(request), str(body.get("clientId", "")))
        if connection is not None:
            connection.wants_logs = bool(body.get("enabled"))
        return done()

    async def folders(self, request: web.Request) -> web.Response:
        text = self._services.redaction.text
        folders = self._services.files.folders
        return answer({kind: [text(str(path)) for path in paths] for kind, paths in folders.items()})

    async def files(self, request: web.Request) -> web.Response:
        kind = request.match_info["kind"]
        if kind not in ("input", "output", "temp"):
            raise RequestError("The folder is input, output or temp.", code="bad-parameter")
        if asker(request).scope is not None:
            raise RequestError("Only the owner may list files.", code="not-allowed", status=403)
        return answer(await asyncio.to_thread(self._newest, kind))

    def _newest(self, kind: str) -> list[str]:
        files = self._services.files
        aged = []
        for name in files.names(kind):
            path = files.find(kind, name)
            if path is not None and "/" not in name:
                aged.append((path.stat().st_mtime_ns, name))
        return [name for _, name in sorted(aged, reverse=True)]


def _device(name: str, place: int, report: Mapping[str, Any]) -> dict[str, Any]:
    memory = psutil.virtual_memory()
    gpu = report.get("gpu") or {"free": memory.available, "total": memory.total, "allocated": 0}
    if name in ("", "auto"):
        name = "cuda" if report.get("gpu") else "cpu"
    return {
        "name": name,
        "type": name.partition(":")[0],
        "index": place if name.startswith("cuda") else None,
        "vram_total": gpu["total"],
        "vram_free": gpu["free"],
        "torch_vram_total": gpu["allocated"],
        "torch_vram_free": 0,
    }


def _version_of(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
