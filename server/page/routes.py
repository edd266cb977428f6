"""The page's routes: its files, open to all, and what it asks beside the native API, behind the token."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from aiohttp import web
from pydantic import JsonValue

from graphcore import __version__
from graphcore.errors import GraphcoreError
from server.api.files import media_type_of
from server.api.models import Inputs, Model
from server.api.operations import int_parameter, json_answer, principal_of, read_body, read_model
from server.api.runs import find_run
from server.api.views import worker_views
from server.checking import Rules
from server.errors import NotFound, RequestError
from server.ids import is_ulid
from server.page.cards import Cards
from server.page.files import PageFiles
from server.page.models import (
    AboutModel,
    CardListModel,
    ExampleListModel,
    ExampleModel,
    PageQueueModel,
    SheetModel,
)
from server.page.sheets import document_of, sheet_of
from server.routing import Body, Route
from server.services import Services

PREFIX: Final = "/page"
_WAITING: Final = 50
_HEAD_BYTES: Final = 32


class FillRequest(Model):
    """A workflow, and values to write into it."""

    workflow: dict[str, JsonValue]
    inputs: Inputs


def page_routes(services: Services) -> list[Route]:
    """The page at `/`, as routes of the application."""
    files, page = PageFiles(), _Page(services)
    return [
        Route(method="GET", path="/", handler=files.index, open=True, page=True),
        Route(method="HEAD", path="/", handler=files.index, open=True, page=True),
        Route(method="GET", path=PREFIX + "/static/{path:.+}", handler=files.get, open=True),
        Route(method="GET", path=PREFIX + "/about", handler=page.about),
        Route(method="GET", path=PREFIX + "/queue", handler=page.queue),
        Route(method="GET", path=PREFIX + "/runs", handler=page.runs),
        Route(method="GET", path=PREFIX + "/runs/{run}/sheet", handler=page.run_sheet),
        Route(method="GET", path=PREFIX + "/runs/{run}", handler=page.run),
        Route(method="GET", path=PREFIX + "/examples", handler=page.examples),
        Route(method="GET", path=PREFIX + "/examples/{name}/sheet", handler=page.example_sheet),
        Route(method="GET", path=PREFIX + "/workflows/{name}/sheet", handler=page.saved_sheet),
        Route(method="POST", path=PREFIX + "/sheet", handler=page.file_sheet, body=Body.BINARY),
        Route(method="POST", path=PREFIX + "/fill", handler=page.fill, body=Body.JSON),
    ]


class _Page:
    def __init__(self, services: Services) -> None:
        self._services = services
        self._checker = services.checker
        self._cards = Cards(services)
        self._editor = find_spec("comfyui_frontend_package") is not None

    async def about(self, request: web.Request) -> web.Response:
        return json_answer(
            AboutModel(
                version=__version__,
                editor=self._editor,
                token=self._services.tokens.required,
                owner=principal_of(request).owner,
            )
        )

    async def queue(self, request: web.Request) -> web.Response:
        jobs = self._services.jobs
        snapshot = jobs.queue(principal_of(request).scope)
        first = snapshot.waiting[:_WAITING]
        return json_answer(
            PageQueueModel(
                paused=snapshot.paused,
                running=await self._cards.all(snapshot.running),
                waiting=[await self._cards.card(run, (), place=place) for place, run in enumerate(first)],
                more=len(snapshot.waiting) - len(first),
                workers=worker_views(jobs.dispatcher.slots, self._services.redaction),
            )
        )

    async def runs(self, request: web.Request) -> web.Response:
        scope, after = principal_of(request).scope, request.query.get("after")
        before: int | None = None
        if after is not None:
            if not is_ulid(after):
                raise RequestError("'after' must be the 'next' of a list.", code="bad-parameter", status=422)
            before = (await self._services.jobs.get(after, scope)).seq
        cards, following = await self._cards.ended(
            principal=scope,
            before=before,
            limit=int_parameter(request, "limit", 24, 1, 100),
            pictures=request.query.get("pictures") == "true",
        )
        return json_answer(CardListModel(runs=cards, next=following))

    async def run(self, request: web.Request) -> web.Response:
        jobs = self._services.jobs
        run = await find_run(request, self._services)
        outputs = await jobs.outputs(run) if run.state.finished else []
        card = await self._cards.card(run, outputs, progress=jobs.progress(run.id), place=jobs.place(run.id))
        return json_answer(card)

    async def run_sheet(self, request: web.Request) -> web.Response:
        asked = await self._services.jobs.request(await find_run(request, self._services))
        return await self._sheet(asked.document, asked.inputs)

    async def saved_sheet(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        saved = await self._services.workflows.get(name, principal_of(request).name)
        return await self._sheet(saved.document)

    async def file_sheet(self, request: web.Request) -> web.Response:
        data = await read_body(request)
        if media_type_of(data[:_HEAD_BYTES]).startswith("image/"):
            data = await self._services.pictures.workflow(data)
        return await self._sheet(data)

    async def examples(self, request: web.Request) -> web.Response:
        return json_answer(ExampleListModel(examples=await self._checker.call(self._list_examples)))

    async def example_sheet(self, request: web.Request) -> web.Response:
        path = (await asyncio.to_thread(self._example_paths)).get(request.match_info["name"])
        if path is None:
            raise NotFound("There is no example of this name.")
        return await self._sheet(await asyncio.to_thread(path.read_bytes))

    async def fill(self, request: web.Request) -> web.Response:
        """The workflow with values written into it: what is saved, or downloaded."""
        asked, _ = await read_model(request, FillRequest)

        def filled(rules: Rules) -> str:
            workflow = rules.read(json.dumps(asked.workflow).encode())
            return document_of(workflow.with_inputs(asked.inputs), rules)

        return web.Response(text=await self._checker.call(filled), content_type="application/json")

    async def _sheet(self, document: bytes, inputs: Mapping[str, object] | None = None) -> web.Response:
        def made(rules: Rules) -> bytes:
            return self._written(sheet_of(rules.read(document), rules, inputs))

        return web.Response(body=await self._checker.call(made), content_type="application/json")

    def _written(self, sheet: SheetModel) -> bytes:
        problems = [
            problem.model_copy(update={"message": self._services.redaction.text(problem.message)})
            for problem in sheet.problems
        ]
        return sheet.model_copy(update={"problems": problems}).model_dump_json().encode()

    def _example_paths(self) -> dict[str, Path]:
        return {
            path.stem: path
            for folder in self._services.registry.examples
            for path in sorted(folder.glob("*.json"))
            if not path.name.endswith(".schema.json")
        }

    def _list_examples(self, rules: Rules) -> list[ExampleModel]:
        found = []
        for name, path in self._example_paths().items():
            try:
                workflow = rules.read(path.read_bytes())
            except (OSError, GraphcoreError):
                continue
            title = workflow.title or name.replace("-", " ").capitalize()
            found.append(ExampleModel(name=name, title=title, description=workflow.description))
        return found
