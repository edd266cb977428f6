"""Records as the native API shows them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from server.api.models import (
    ErrorBody,
    OutputModel,
    ProgressModel,
    RunDetailModel,
    RunModel,
    WorkerModel,
    moment,
)
from server.api.operations import PREFIX
from server.records import OutputRecord, Progress, RunRecord, RunResultRecord, StoredEvent
from server.security.redaction import Redaction
from server.slot import Slot


def run_view(
    run: RunRecord, redaction: Redaction, *, place: int | None = None, progress: Sequence[Progress] = ()
) -> RunModel:
    """A run in short."""
    return RunModel(**_fields(run, redaction, place, progress))


def worker_views(slots: Iterable[Slot], redaction: Redaction) -> list[WorkerModel]:
    """The workers, as their slots know them."""
    return [
        WorkerModel(
            name=slot.worker.name,
            ready=slot.ready,
            device=slot.device,
            starts=slot.starts,
            runs=len(slot.held),
            trouble=redaction.text(slot.trouble),
        )
        for slot in slots
    ]


def run_detail(
    run: RunRecord,
    redaction: Redaction,
    *,
    place: int | None,
    progress: Sequence[Progress],
    result: RunResultRecord | None,
    outputs: Sequence[OutputRecord],
) -> RunDetailModel:
    """A run with what it made."""
    fields = _fields(run, redaction, place, progress)
    if result is not None:
        fields |= {
            "seconds": result.seconds,
            "ran": result.ran,
            "cached": result.cached,
            "values": dict(result.values),
            "shown": dict(result.shown),
            "errors": redaction.value(dict(result.errors)),
        }
    return RunDetailModel(**fields, outputs=[output_view(entry) for entry in outputs])


def output_view(entry: OutputRecord) -> OutputModel:
    """A file that a run made."""
    return OutputModel(
        id=entry.id,
        node=entry.node,
        kind=entry.kind,
        name=entry.filename,
        url=f"{PREFIX}/runs/{entry.run}/outputs/{entry.id}",
    )


def event_view(event: StoredEvent, redaction: Redaction) -> dict[str, Any]:
    """An event without what is for logs alone."""
    body = {name: value for name, value in event.body.items() if name != "traceback"}
    if "error" in body:
        body["error"] = redaction.value(body["error"])
    return {"number": event.number, **body}


def _fields(
    run: RunRecord, redaction: Redaction, place: int | None, progress: Sequence[Progress]
) -> dict[str, Any]:
    return {
        "id": run.id,
        "state": run.state.value,
        "priority": run.priority,
        "attempt": run.attempt,
        "workflow": run.workflow_name,
        "created": moment(run.created),
        "started": moment(run.started),
        "finished": moment(run.finished),
        "error": _error(run.error, redaction),
        "place": place,
        "progress": [
            ProgressModel(node=entry.node, done=entry.done, total=entry.total) for entry in progress
        ],
    }


def _error(error: Mapping[str, Any] | None, redaction: Redaction) -> ErrorBody | None:
    return None if error is None else ErrorBody.model_validate(redaction.value(dict(error)))
