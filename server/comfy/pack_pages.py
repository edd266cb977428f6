"""Routes that node packs have asked for: passed on to the worker in which the packs are, for the owner alone."""

from __future__ import annotations

from typing import Final

import aiohttp
from aiohttp import hdrs, web

from server.comfy.twofold import asker
from server.errors import NotFound, ServerError
from server.routing import Body, Route
from server.services import Services

_METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")
_OWN: Final = frozenset(
    {"host", "authorization", "cookie", "connection", "content-length", "transfer-encoding", "upgrade"}
)
_PASSED: Final = (hdrs.CONTENT_TYPE, hdrs.CONTENT_DISPOSITION, hdrs.CACHE_CONTROL, hdrs.ETAG)
_LIMIT: Final = aiohttp.ClientTimeout(total=300)


def pack_page_routes(services: Services, *prefixes: str) -> list[Route]:
    """Every address below these prefixes that nothing else answers; none if no pack is to be loaded."""
    if not services.packs.expected:
        return []
    pages = _Pages(services)
    return [
        Route(method=method, path=f"{prefix}/{{pack_path:.+}}", handler=pages.pass_on, body=Body.ANY)
        for prefix in prefixes
        for method in _METHODS
    ]


class _Pages:
    def __init__(self, services: Services) -> None:
        self._packs = services.packs

    async def pass_on(self, request: web.Request) -> web.Response:
        """Ask the worker."""
        socket = self._packs.socket
        if socket is None or asker(request).scope is not None:
            raise NotFound
        path = request.rel_url.raw_path_qs.removeprefix("/editor").removeprefix("/api")
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _OWN}
        body = await request.read()
        try:
            async with (
                aiohttp.ClientSession(
                    connector=aiohttp.UnixConnector(path=socket), timeout=_LIMIT
                ) as session,
                session.request(
                    request.method, f"http://packs{path}", data=body, headers=headers, allow_redirects=False
                ) as answer,
            ):
                if answer.status == 404:
                    raise NotFound
                kept = {name: answer.headers[name] for name in _PASSED if name in answer.headers}
                return web.Response(status=answer.status, body=await answer.read(), headers=kept)
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise ServerError(
                "The node pack does not answer; see the server's log.",
                code="no-worker",
                status=503,
                retry_after=2,
            ) from error
