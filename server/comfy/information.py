"""What clients ask at their start: features, extensions, translations, templates."""

from __future__ import annotations

from aiohttp import web

from server.comfy.features import features
from server.comfy.pack_files import PackFiles
from server.comfy.twofold import answer, twofold
from server.errors import NotFound
from server.routing import Route
from server.services import Services


def information_routes(services: Services) -> list[Route]:
    """The routes. Node packs bring scripts, but no translations, templates or sub-graphs: these lists are empty."""
    pack_files = PackFiles(services.packs)

    async def feature_flags(request: web.Request) -> web.Response:
        return answer(features(services.settings))

    async def empty_object(request: web.Request) -> web.Response:
        return answer({})

    async def no_subgraph(request: web.Request) -> web.Response:
        raise NotFound("There is no such sub-graph.")

    return [
        *twofold("GET", "/features", feature_flags),
        *twofold("GET", "/extensions", pack_files.index),
        *twofold("GET", "/extensions/{pack}/{path:.+}", pack_files.get),
        *twofold("GET", "/i18n", empty_object),
        *twofold("GET", "/workflow_templates", empty_object),
        *twofold("GET", "/global_subgraphs", empty_object),
        *twofold("GET", "/global_subgraphs/{id}", no_subgraph),
        *twofold("GET", "/node_replacements", empty_object),
    ]
