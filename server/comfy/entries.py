"""Runs as ComfyUI lists them: items of the queue, entries of the history."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from server.comfy.live import prompt_id_of
from server.comfy.narration import Narration, Said, retold
from server.comfy.prompt import plain_number
from server.comfy.shown import ui_of
from server.comfy.twofold import SOURCE
from server.records import RunRecord, RunRequest, State
from server.security.tokens import Principal
from server.store import queries
from server.store.events import events_after

Redact = Callable[[Any], Any]
_TOLD: Final = frozenset(
    {"execution_start", "execution_cached", "execution_success", "execution_error", "execution_interrupted"}
)


def queue_item(run: RunRecord, request: RunRequest) -> list[Any]:
    """A run as `[number, prompt_id, prompt, extra_data, output ids]`."""
    extra = dict(request.extra.get("extra_data", {}))
    if request.metadata:
        extra["extra_pnginfo"] = request.metadata
    prompt = request.extra.get("prompt")
    if prompt is None:
        prompt = json.loads(request.document)["prompt"]
    return [plain_number(run.position), prompt_id_of(run), prompt, extra, list(request.targets or ())]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A run that has ended, with all that lists tell of it."""

    run: RunRecord
    request: RunRequest
    outputs: Mapping[str, Mapping[str, list[Any]]]
    narration: Narration
    said: list[Said]

    @property
    def succeeded(self) -> bool:
        """Whether the run has ended well."""
        return self.run.state is State.SUCCEEDED

    @property
    def status(self) -> dict[str, Any]:
        """How it ended, in the words of a history."""
        return {
            "status_str": "success" if self.succeeded else "error",
            "completed": self.succeeded,
            "messages": [[message.type, message.data] for message in self.said if message.type in _TOLD],
        }

    def entry(self) -> dict[str, Any]:
        """The run's entry in a history."""
        return {
            "prompt": queue_item(self.run, self.request),
            "outputs": self.outputs,
            "status": self.status,
            "meta": {node: self.narration.place_of(node) for node in self.outputs},
        }


def read_finished(connection: sqlite3.Connection, run: RunRecord, redact: Redact) -> Finished | None:
    """A run that has ended, from the store; None if it has been forgotten meanwhile."""
    request = queries.get_request(connection, run.seq)
    if request is None:
        return None
    result = queries.get_result(connection, run.seq)
    shown = result.shown if result is not None else {}
    events = [event.body for event in events_after(connection, run, -1)]
    narration, said = retold(prompt_id_of(run), events, redact)
    outputs = {node: ui_of(items) for node, items in shown.items() if items}
    return Finished(run=run, request=request, outputs=outputs, narration=narration, said=said)


def listed_run(connection: sqlite3.Connection, prompt_id: str, asker: Principal) -> RunRecord | None:
    """The newest prompt of this id that has ended and is still listed: the asker's own, if there is one."""
    row = connection.execute(
        "SELECT id FROM runs WHERE alias = ?1 AND source = ?2 AND hidden = 0 AND finished IS NOT NULL"
        " AND (?3 IS NULL OR principal = ?3) ORDER BY principal = ?4 DESC, seq DESC LIMIT 1",
        (prompt_id, SOURCE, asker.scope, asker.name),
    ).fetchone()
    return None if row is None else queries.get_run(connection, row[0])


def called(runs: Iterable[RunRecord], prompt_ids: Collection[str], asker: Principal) -> list[RunRecord]:
    """The runs that go by these ids. Those of others are left out where the asker has one of the same id."""
    found = [run for run in runs if prompt_id_of(run) in prompt_ids]
    own = {prompt_id_of(run) for run in found if run.principal == asker.name}
    return [run for run in found if run.principal == asker.name or prompt_id_of(run) not in own]
