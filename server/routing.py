"""A route, and what may be sent to it. The application is made of lists of these."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final

from aiohttp import web

from server.security.tokens import Principal

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
PRINCIPAL: Final = web.RequestKey("principal", Principal)


class Body(Enum):
    """What a route takes as its body."""

    NONE = "none"  # no body at all
    JSON = "json"  # application/json, and nothing else
    BINARY = "binary"  # a file as it is, under a media type that no form can send
    ANY = "any"  # whatever an older protocol's clients send


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One route. `open` ones answer without a token: they must neither tell nor change anything.

    `page` ones may be opened by following a link from elsewhere (a GET navigation); they serve files of our own alone.
    """

    method: str
    path: str
    handler: Handler
    body: Body = Body.NONE
    open: bool = False
    page: bool = False
