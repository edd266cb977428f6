"""GET /object_info: the node types, as bytes that are made once and again only when a list of files has changed."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Final

from aiohttp import web

from graphcore.files import Files
from graphcore.formats.object_info import node_info
from graphcore.registry import Registry
from graphcore.spec import NodeSpec
from server.comfy.twofold import answer, json_bytes, twofold
from server.routing import Route
from server.services import Services

_log = logging.getLogger(__name__)
Signature = tuple[tuple[str, ...], ...]


def node_routes(services: Services) -> list[Route]:
    """The node types' routes."""
    routes = _NodeTypes(services)
    return [
        *twofold("GET", "/object_info", routes.index),
        *twofold("GET", "/object_info/{node_class}", routes.get),
    ]


class Catalogue:
    """The description of all node types as JSON bytes. Nodes without lists of files are described once."""

    def __init__(self, registry: Registry, files: Files) -> None:
        self._files = files
        self._registry = registry
        self._specs = {name: spec for name, spec in registry.comfy_names().items() if spec.foreign is None}
        self._kinds: Final = sorted(
            {
                declared.file.kind
                for spec in self._specs.values()
                for declared in spec.inputs
                if declared.file is not None
            }
        )
        self._lasting: dict[str, bytes] = {}
        self._made: tuple[Signature, bytes] | None = None

    def all(self) -> bytes:
        """All node types; reads folders, so not for the event loop."""
        signature: Signature = tuple([self._files.names(kind) for kind in self._kinds])
        made = self._made
        if made is None or made[0] != signature:
            entries = [
                entry for name, spec in self._specs.items() if (entry := self._entry(name, spec)) is not None
            ]
            made = self._made = (signature, b"{" + b",".join(entries) + b"}")
        packs = [
            json.dumps({spec.name: dict(spec.foreign.info)}, separators=(",", ":"))[1:-1].encode()
            for spec in self._registry
            if spec.foreign is not None
        ]
        if not packs:
            return made[1]
        own = made[1][1:-1]
        return b"{" + b",".join([*([own] if own else []), *packs]) + b"}"

    def one(self, name: str) -> object:
        """One node type by its name, in an object of its own; an empty one if there is none."""
        spec = self._registry.get(name)
        return {} if spec is None else {name: node_info(spec, name, self._files)}

    def _entry(self, name: str, spec: NodeSpec) -> bytes | None:
        held = self._lasting.get(name)
        if held is not None:
            return held
        try:
            made = json.dumps({name: node_info(spec, name, self._files)}, separators=(",", ":"))[
                1:-1
            ].encode()
        except (TypeError, ValueError) as error:
            _log.error("The node type %s cannot be described: %s", name, error)
            return None
        if not any(declared.file is not None for declared in spec.inputs):
            self._lasting[name] = made
        return made


class _NodeTypes:
    def __init__(self, services: Services) -> None:
        self._packs = services.packs
        self._catalogue = Catalogue(services.registry, services.files)

    async def index(self, request: web.Request) -> web.Response:
        await self._packs.refresh()
        return json_bytes(await asyncio.to_thread(self._catalogue.all))

    async def get(self, request: web.Request) -> web.Response:
        name = request.match_info["node_class"]
        await self._packs.refresh([name])
        return answer(await asyncio.to_thread(self._catalogue.one, name))
