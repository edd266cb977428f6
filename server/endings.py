"""How runs end: as a worker told, by cancellation, or given up."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from typing import Any

from server.queue import OpenRun
from server.records import OutputRecord, State
from server.store import runs as rows
from server.workers.interface import Done


def ending_of(run: OpenRun, done: Done) -> rows.Ending:
    """The end that a worker told of."""
    return rows.Ending(
        attempt=done.attempt,
        state=State(done.state),
        finished=time.time(),
        error=done.error,
        result=done.result,
        outputs=_outputs(run, done.result),
        first_event=run.next_event,
        events=[body_of(done.event)],
    )


def cancelled(run: OpenRun, reason: str) -> rows.Ending:
    """The end of a run that was cancelled before it was begun, or whose worker had to be ended."""
    return ending_without_result(
        run, State.CANCELLED, {"code": "cancelled", "message": f"The run was cancelled: {reason}."}
    )


def ending_without_result(run: OpenRun, state: State, error: Mapping[str, object]) -> rows.Ending:
    """The end of a run of which no worker tells."""
    now = time.time()
    seconds = now - run.record.started if run.record.started is not None else 0.0
    event = {
        "event": "run-finished",
        "time": now,
        "state": state.value,
        "seconds": max(0.0, seconds),
        "error": error,
    }
    return rows.Ending(
        attempt=run.record.attempt,
        state=state,
        finished=now,
        error=error,
        result={},
        outputs=(),
        first_event=run.next_event,
        events=[event],
    )


def body_of(event: Mapping[str, Any]) -> dict[str, Any]:
    """An event without the engine's number: a run's events are numbered over all its attempts."""
    return {name: value for name, value in event.items() if name != "number"}


def _outputs(run: OpenRun, result: Mapping[str, Any]) -> list[OutputRecord]:
    """The files among what nodes showed, each under a new id."""
    found: list[OutputRecord] = []
    for node, items in result.get("shown", {}).items():
        for item in items:
            filename, folder = item.get("filename"), item.get("type", "output")
            if not isinstance(filename, str) or folder not in ("output", "temp"):
                continue
            found.append(
                OutputRecord(
                    id=secrets.token_urlsafe(12),
                    run=run.record.id,
                    node=node,
                    position=len(found),
                    kind=str(item.get("kind", "images")),
                    folder=folder,
                    subfolder=str(item.get("subfolder") or ""),
                    filename=filename,
                )
            )
    return found
