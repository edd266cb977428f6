"""Runs: submit, list, look, wait, cancel, and fetch what they made."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from server.api.events import event_operations
from server.api.files import OutputFiles
from server.api.models import OutputListModel, RunDetailModel, RunListModel, RunModel, RunRequest
from server.api.operations import (
    PREFIX,
    Operation,
    Parameter,
    int_parameter,
    json_answer,
    number_parameter,
    principal_of,
    read_model,
)
from server.api.views import output_view, run_detail, run_view
from server.errors import NotFound, RequestError
from server.ids import is_ulid
from server.records import Accepted, RunRecord, State
from server.services import Services
from server.store.queries import RunFilter
from server.submitting import document_of, idempotency_of, submission_of

_WAIT_S: Final = 60.0
RUN_ID: Final = Parameter(name="run", place="path", description="The run's id.", required=True)
KEY: Final = Parameter(
    name="Idempotency-Key",
    place="header",
    description="A request that is sent again with the same key makes no second run.",
    schema={"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"},
)


def run_operations(services: Services) -> list[Operation]:
    """The operations on runs."""
    routes = _Runs(services)
    outputs = OutputFiles(services)
    return [
        Operation(
            method="POST",
            path="/runs",
            handler=routes.submit,
            name="submitRun",
            summary="Submit a run. It is durable when the answer comes.",
            tag="runs",
            request=RunRequest,
            response=RunModel,
            status=202,
            errors=(400, 404, 413, 415, 422, 429, 503, 507),
            parameters=(KEY,),
        ),
        Operation(
            method="GET",
            path="/runs",
            handler=routes.index,
            name="listRuns",
            summary="List runs, newest first.",
            tag="runs",
            response=RunListModel,
            errors=(404, 422),
            parameters=(
                Parameter(name="state", description="Only these states, separated by commas."),
                Parameter(
                    name="limit", schema={"type": "integer", "minimum": 1, "maximum": 500, "default": 50}
                ),
                Parameter(
                    name="after",
                    description="The 'next' of the list before.",
                    schema={"type": "string", "pattern": "^[0-7][0-9A-HJKMNP-TV-Z]{25}$"},
                ),
            ),
        ),
        Operation(
            method="GET",
            path="/runs/{run}",
            handler=routes.get,
            name="getRun",
            summary="Look at a run; with 'wait', once it has ended or the time is over.",
            tag="runs",
            response=RunDetailModel,
            errors=(404, 422),
            parameters=(
                RUN_ID,
                Parameter(
                    name="wait",
                    description="Seconds to wait for the end.",
                    schema={"type": "number", "minimum": 0, "maximum": _WAIT_S},
                ),
            ),
        ),
        Operation(
            method="DELETE",
            path="/runs/{run}",
            handler=routes.cancel,
            name="cancelRun",
            summary="Cancel a run. One that is under way stops within a step.",
            tag="runs",
            response=RunModel,
            status=202,
            errors=(404, 409),
            parameters=(RUN_ID,),
        ),
        *event_operations(services),
        Operation(
            method="GET",
            path="/runs/{run}/outputs",
            handler=routes.outputs,
            name="listOutputs",
            summary="List the files that a run made.",
            tag="runs",
            response=OutputListModel,
            errors=(404,),
            parameters=(RUN_ID,),
        ),
        Operation(
            method="GET",
            path="/runs/{run}/outputs/{output}",
            handler=outputs.get,
            name="getOutput",
            summary="Fetch a file that a run made, or a small copy of a picture.",
            tag="runs",
            media_type="application/octet-stream",
            errors=(404, 422),
            parameters=(
                RUN_ID,
                Parameter(name="output", place="path", description="The output's id.", required=True),
                Parameter(
                    name="size",
                    description="A WebP copy of at most so many pixels in width and height.",
                    schema={"type": "integer", "minimum": 16, "maximum": 4096},
                ),
            ),
        ),
    ]


async def find_run(request: web.Request, services: Services) -> RunRecord:
    """The run that the path names, if the caller may see it; raises NotFound."""
    run_id = request.match_info["run"]
    if not is_ulid(run_id):
        raise NotFound("There is no such run.")
    return await services.jobs.get(run_id, principal_of(request).scope)


def accepted_answer(accepted: Accepted, services: Services) -> web.Response:
    """The answer to a submission that is durable."""
    run = accepted.run
    headers = {"Location": f"{PREFIX}/runs/{run.id}"}
    if accepted.replayed:
        headers["Idempotent-Replayed"] = "true"
    return json_answer(run_view(run, services.redaction), status=202, headers=headers)


class _Runs:
    def __init__(self, services: Services) -> None:
        self._services = services

    async def submit(self, request: web.Request) -> web.Response:
        services, principal = self._services, principal_of(request)
        asked, body = await read_model(request, RunRequest)
        document, name = await document_of(asked.workflow, principal, services)
        submission = await submission_of(
            document=document,
            name=name,
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

    async def index(self, request: web.Request) -> web.Response:
        limit = int_parameter(request, "limit", 50, 1, 500)
        after = request.query.get("after")
        before: int | None = None
        if after is not None:
            if not is_ulid(after):
                raise RequestError("'after' must be the 'next' of a list.", code="bad-parameter", status=422)
            before = (await self._services.jobs.get(after, principal_of(request).scope)).seq
        runs = await self._services.jobs.runs(
            RunFilter(
                states=_states(request.query.get("state")),
                principal=principal_of(request).scope,
                before=before,
                limit=limit + 1,
            )
        )
        shown = runs[:limit]
        jobs, redaction = self._services.jobs, self._services.redaction
        views = [run_view(run, redaction, progress=jobs.progress(run.id)) for run in shown]
        return json_answer(RunListModel(runs=views, next=shown[-1].id if len(runs) > limit else None))

    async def get(self, request: web.Request) -> web.Response:
        jobs = self._services.jobs
        run = await find_run(request, self._services)
        wait_s = number_parameter(request, "wait", 0.0, 0.0, _WAIT_S)
        if wait_s and not run.state.finished:
            run = await jobs.wait(run, wait_s)
        result = await jobs.result(run) if run.state.finished else None
        outputs = await jobs.outputs(run) if run.state.finished else []
        return json_answer(
            run_detail(
                run,
                self._services.redaction,
                place=jobs.place(run.id),
                progress=jobs.progress(run.id),
                result=result,
                outputs=outputs,
            )
        )

    async def cancel(self, request: web.Request) -> web.Response:
        run = await find_run(request, self._services)
        cancelled = await self._services.jobs.cancel(run.id)
        return json_answer(run_view(cancelled, self._services.redaction), status=202)

    async def outputs(self, request: web.Request) -> web.Response:
        run = await find_run(request, self._services)
        found = await self._services.jobs.outputs(run)
        return json_answer(OutputListModel(outputs=[output_view(entry) for entry in found]))


def _states(text: str | None) -> tuple[State, ...]:
    if text is None:
        return ()
    try:
        return tuple(State(name) for name in text.split(","))
    except ValueError:
        known = ", ".join(state.value for state in State)
        raise RequestError(f"'state' is a list of: {known}.", code="bad-parameter", status=422) from None
