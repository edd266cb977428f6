"""Workflows: look at them, save them, run saved ones by name."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from typing import Any, Final

from aiohttp import hdrs, web

from graphcore.errors import ValidationError
from graphcore.formats.object_info import input_info
from graphcore.formats.reading import find_document, format_of, is_picture
from graphcore.jsontext import parse_json
from graphcore.workflow import Workflow
from server.api.models import (
    DocumentModel,
    PlanModel,
    ProblemModel,
    RunModel,
    SavedRunRequest,
    SavedWorkflowDetailModel,
    SavedWorkflowModel,
    ValidModel,
    WorkflowInputModel,
    WorkflowListModel,
    WorkflowRequest,
    moment,
)
from server.api.operations import Operation, Parameter, json_answer, principal_of, read_body, read_model
from server.api.runs import KEY, accepted_answer
from server.errors import RequestError
from server.routing import Body
from server.services import Services
from server.submitting import document_of, idempotency_of, submission_of
from server.workflows import SavedWorkflow

NAME: Final = Parameter(name="name", place="path", description="The workflow's name.", required=True)


def workflow_operations(services: Services) -> list[Operation]:
    """The operations on workflows."""
    routes = _Workflows(services)
    return [
        Operation(
            method="POST",
            path="/validate",
            handler=routes.validate,
            name="validateWorkflow",
            summary="Every problem of a workflow.",
            tag="workflows",
            request=WorkflowRequest,
            response=ValidModel,
            errors=(400, 404, 413, 415, 422),
        ),
        Operation(
            method="POST",
            path="/plan",
            handler=routes.plan,
            name="planWorkflow",
            summary="What a run would do: which results are there, what would be computed and why.",
            tag="workflows",
            request=WorkflowRequest,
            response=PlanModel,
            errors=(400, 404, 413, 415, 422, 503),
        ),
        Operation(
            method="POST",
            path="/read",
            handler=routes.read,
            name="readWorkflow",
            summary="The workflow that a picture carries, a graph file or A1111's parameters, ready to be submitted.",
            tag="workflows",
            body=Body.BINARY,
            response=DocumentModel,
            errors=(400, 413, 415, 422),
        ),
        Operation(
            method="GET",
            path="/workflows",
            handler=routes.index,
            name="listWorkflows",
            summary="List the saved workflows.",
            tag="workflows",
            response=WorkflowListModel,
        ),
        Operation(
            method="GET",
            path="/workflows/{name}",
            handler=routes.get,
            name="getWorkflow",
            summary="A saved workflow, with its declared inputs described for a form.",
            tag="workflows",
            response=SavedWorkflowDetailModel,
            errors=(404,),
            parameters=(NAME,),
        ),
        Operation(
            method="PUT",
            path="/workflows/{name}",
            handler=routes.put,
            name="saveWorkflow",
            summary="Save a workflow in any format; the body is the workflow itself.",
            tag="workflows",
            body=Body.JSON,
            response=SavedWorkflowModel,
            errors=(400, 413, 415, 422, 503, 507),
            parameters=(NAME,),
        ),
        Operation(
            method="DELETE",
            path="/workflows/{name}",
            handler=routes.delete,
            name="deleteWorkflow",
            summary="Delete a saved workflow.",
            tag="workflows",
            status=204,
            errors=(404,),
            parameters=(NAME,),
        ),
        Operation(
            method="POST",
            path="/workflows/{name}/runs",
            handler=routes.run,
            name="runWorkflow",
            summary="Run a saved workflow with its declared inputs as plain JSON.",
            tag="workflows",
            request=SavedRunRequest,
            response=RunModel,
            status=202,
            errors=(400, 404, 413, 415, 422, 429, 503, 507),
            parameters=(NAME, KEY),
        ),
    ]


class _Workflows:
    def __init__(self, services: Services) -> None:
        self._services = services

    async def validate(self, request: web.Request) -> web.Response:
        asked, _ = await read_model(request, WorkflowRequest)
        document, _ = await document_of(asked.workflow, principal_of(request), self._services)
        try:
            graph = await self._services.checker.check(document, inputs=asked.inputs, targets=asked.targets)
        except ValidationError as error:
            problems = [ProblemModel.model_validate(problem.as_json()) for problem in error.problems]
            return json_answer(ValidModel(valid=False, nodes=0, problems=problems))
        return json_answer(ValidModel(valid=True, nodes=len(graph.nodes), problems=[]))

    async def read(self, request: web.Request) -> web.Response:
        data = await read_body(request)
        if is_picture(data):
            data = await self._services.pictures.workflow(data)
        document = await asyncio.to_thread(find_document, data)
        return json_answer(
            DocumentModel.model_validate({"format": format_of(document), "workflow": document})
        )

    async def plan(self, request: web.Request) -> web.Response:
        asked, _ = await read_model(request, WorkflowRequest)
        document, _ = await document_of(asked.workflow, principal_of(request), self._services)
        await self._services.checker.check(document, inputs=asked.inputs, targets=asked.targets)
        targets = None if asked.targets is None else tuple(asked.targets)
        plan = await self._services.jobs.dispatcher.plan(document, asked.inputs, targets)
        return json_answer(PlanModel.model_validate(self._services.redaction.value(plan)))

    async def index(self, request: web.Request) -> web.Response:
        found = await self._services.workflows.all(principal_of(request).name)
        return json_answer(
            WorkflowListModel(workflows=[SavedWorkflowModel(**_fields(saved)) for saved in found])
        )

    async def get(self, request: web.Request) -> web.Response:
        saved = await self._services.workflows.get(request.match_info["name"], principal_of(request).name)
        workflow = await self._services.checker.read(saved.document)
        shown = SavedWorkflowDetailModel(
            **_fields(saved),
            workflow=json.loads(saved.document),
            title=workflow.title,
            description=workflow.description,
            inputs=await asyncio.to_thread(self._inputs, workflow),
        )
        return json_answer(shown, headers={hdrs.ETAG: f'"{saved.digest}"'})

    def _inputs(self, workflow: Workflow) -> list[WorkflowInputModel]:
        values = workflow.input_values()
        described = []
        for name, declared in workflow.inputs.items():
            kind, options = "STRING", dict[str, Any]()
            for target in declared.targets[:1]:
                entry = workflow.nodes.get(target.node)
                spec = self._services.registry.get(entry.type) if entry is not None else None
                found = spec.input(target.input) if spec is not None else None
                if found is not None:
                    info = input_info(found, self._services.files)
                    assert isinstance(info, list)
                    kind, options = _kind_and_options(info)
            described.append(
                WorkflowInputModel(
                    name=name,
                    title=declared.title or name,
                    description=declared.description,
                    type=kind,
                    value=_plain(values.get(name)),
                    options=options,
                )
            )
        return described

    async def put(self, request: web.Request) -> web.Response:
        data = await read_body(request)
        document = parse_json(data)
        if not isinstance(document, dict):
            raise RequestError("A workflow is a JSON object.", code="unknown-shape")
        await self._services.checker.read(data)
        name = request.match_info["name"]
        saved, new = await self._services.workflows.save(name, data, principal_of(request).name)
        return json_answer(SavedWorkflowModel(**_fields(saved)), status=201 if new else 200)

    async def delete(self, request: web.Request) -> web.Response:
        await self._services.workflows.delete(request.match_info["name"], principal_of(request).name)
        return web.Response(status=204)

    async def run(self, request: web.Request) -> web.Response:
        services, principal = self._services, principal_of(request)
        asked, body = await read_model(request, SavedRunRequest)
        saved = await services.workflows.get(request.match_info["name"], principal.name)
        submission = await submission_of(
            document=saved.document,
            name=saved.name,
            inputs=asked.inputs,
            targets=asked.targets,
            priority=asked.priority,
            previews=asked.previews,
            webhook=asked.webhook,
            idempotency=idempotency_of(request.headers.getall("Idempotency-Key", []), request.path, body),
            principal=principal,
            services=services,
        )
        return accepted_answer(await services.jobs.submit(submission), services)


def _fields(saved: SavedWorkflow) -> dict[str, Any]:
    held = asdict(saved)
    return {
        "name": held["name"],
        "digest": held["digest"],
        "created": moment(saved.created),
        "updated": moment(saved.updated),
    }


def _kind_and_options(info: list[Any]) -> tuple[str, dict[str, Any]]:
    """An object_info entry as a type and its options; a list of choices is a COMBO."""
    options = dict(info[1]) if len(info) > 1 and isinstance(info[1], dict) else {}
    if isinstance(info[0], list):
        return "COMBO", {"options": info[0], **options}
    return str(info[0]), options


def _plain(value: object) -> Any:
    return value if value is None or isinstance(value, (bool, int, float, str, list, dict)) else None
