"""Answers requests for the routes that node packs have asked for. Runs in a worker, where their code is."""

from __future__ import annotations

import asyncio
import logging
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from aiohttp import web

_log = logging.getLogger(__name__)
_START_S = 10.0


class AskedRoute(Protocol):
    """A route that a pack has asked for: an aiohttp handler, or a folder of files."""

    method: str
    path: str
    handler: Any
    static: str | None


def start(routes: Sequence[AskedRoute], most_bytes: int) -> str | None:
    """Answer on a socket of this machine, from a thread; the socket's path, or None if there is nothing to answer."""
    app = web.Application(client_max_size=most_bytes)
    for route in routes:
        try:
            _add(app, route)
        except (TypeError, ValueError, RuntimeError) as error:
            _log.error("A node pack's route %s %s cannot be served: %s", route.method, route.path, error)
    if not list(app.router.routes()):
        return None
    socket = Path(tempfile.mkdtemp(prefix="graphcore-packs-")) / "pages"
    listening = threading.Event()
    threading.Thread(
        target=asyncio.run, args=(_serve(app, socket, listening),), name="graphcore-pack-pages", daemon=True
    ).start()
    return str(socket) if listening.wait(_START_S) else None


def _add(app: web.Application, route: AskedRoute) -> None:
    if route.static is not None:
        app.router.add_static(route.path, route.static)
    else:
        app.router.add_route(route.method, route.path, route.handler)


async def _serve(app: web.Application, socket: Path, listening: threading.Event) -> None:
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.UnixSite(runner, str(socket)).start()
    listening.set()
    await asyncio.Event().wait()
