"""Runs as cards: what they are called, how they stand, what they made."""

from __future__ import annotations

import sqlite3
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from graphcore.errors import GraphcoreError
from server.api.models import ErrorBody
from server.api.views import output_view, run_view
from server.checking import Rules
from server.page.literals import prompt_of
from server.page.models import CardModel
from server.records import OutputRecord, Progress, RunRecord, State
from server.services import Services
from server.store.outputs import outputs_of
from server.store.queries import RunFilter, list_runs

ENDED: Final = (State.SUCCEEDED, State.FAILED, State.CANCELLED)
_KEPT: Final = 4096
_PROMPT_LENGTH: Final = 300
_BATCH: Final = 50
_LOOKED_THROUGH: Final = 1000

Ended = list[tuple[RunRecord, list[OutputRecord]]]


@dataclass(frozen=True, slots=True)
class Caption:
    """What a run is called, and what it was to make."""

    title: str = ""
    prompt: str = ""


class Cards:
    """Makes cards. What a run was asked with never changes, so captions are kept."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._captions: OrderedDict[str, Caption] = OrderedDict()

    async def all(self, runs: Iterable[RunRecord]) -> list[CardModel]:
        """Cards of runs that have not ended, with how far they are."""
        jobs = self._services.jobs
        return [await self.card(run, (), progress=jobs.progress(run.id)) for run in runs]

    async def card(
        self,
        run: RunRecord,
        outputs: Sequence[OutputRecord],
        *,
        progress: Sequence[Progress] = (),
        place: int | None = None,
    ) -> CardModel:
        """The card of one run."""
        caption = await self._caption(run)
        view = run_view(run, self._services.redaction, place=place, progress=progress)
        return CardModel(
            id=view.id,
            state=view.state,
            title=caption.title or view.workflow or "",
            prompt=caption.prompt,
            workflow=view.workflow,
            attempt=view.attempt,
            created=view.created,
            started=view.started,
            finished=view.finished,
            error=_brief(view.error),
            place=view.place,
            progress=view.progress,
            outputs=[output_view(entry) for entry in outputs],
        )

    async def ended(
        self, *, principal: str | None, before: int | None, limit: int, pictures: bool
    ) -> tuple[list[CardModel], str | None]:
        """Runs that have ended, newest first (those with pictures alone), and the last one's id if more may follow."""
        found, last, more = await self._services.database.read(
            partial(_ended, principal=principal, before=before, limit=limit, pictures=pictures)
        )
        cards = [await self.card(run, outputs) for run, outputs in found]
        return cards, last if more else None

    async def _caption(self, run: RunRecord) -> Caption:
        known = self._captions.get(run.id)
        if known is None:
            known = await self._read(run)
            self._captions[run.id] = known
            while len(self._captions) > _KEPT:
                self._captions.popitem(last=False)
        return known

    async def _read(self, run: RunRecord) -> Caption:
        try:
            request = await self._services.jobs.request(run)
            return await self._services.checker.call(
                lambda rules: _caption(request.document, request.inputs, rules)
            )
        except GraphcoreError:
            return Caption()


def _caption(document: bytes, inputs: Mapping[str, object], rules: Rules) -> Caption:
    workflow = rules.read(document).with_inputs(inputs)
    prompt = prompt_of(workflow, rules.registry)
    return Caption(workflow.title[:_PROMPT_LENGTH], prompt[:_PROMPT_LENGTH])


def _ended(
    connection: sqlite3.Connection, principal: str | None, before: int | None, limit: int, pictures: bool
) -> tuple[Ended, str | None, bool]:
    """Runs with what they made, the id of the last one looked at, and whether there may be more."""
    found: Ended = []
    last: str | None = None
    looked = 0
    while looked < _LOOKED_THROUGH:
        runs = list_runs(
            connection, RunFilter(states=ENDED, principal=principal, before=before, limit=_BATCH)
        )
        for run in runs:
            outputs = outputs_of(connection, run)
            before, last, looked = run.seq, run.id, looked + 1
            if outputs or not pictures:
                found.append((run, outputs))
            if len(found) == limit:
                return found, last, True
        if len(runs) < _BATCH:
            return found, last, False
    return found, last, True


def _brief(error: ErrorBody | None) -> ErrorBody | None:
    return (
        None if error is None else ErrorBody(code=error.code, message=error.message, location=error.location)
    )
