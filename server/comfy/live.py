"""Who is connected, and what each is told of the runs that concern them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from server.comfy.connection import Connection
from server.comfy.narration import PREVIEW, STATUS, Narration, Said
from server.comfy.twofold import SOURCE
from server.hub import Message
from server.records import Progress, RunRecord
from server.security.tokens import OWNER, Principal
from server.services import Services

_TO_ALL: Final = ("progress_state", "progress", "execution_interrupted")


def prompt_id_of(run: RunRecord) -> str:
    """What clients call a run."""
    return run.alias or run.id


class Live:
    """Connections by principal and client id, and a narration of each run that is under way."""

    def __init__(self, services: Services) -> None:
        self._jobs = services.jobs
        self._redact = services.redaction.value
        self._connections: dict[tuple[str, str], Connection] = {}
        self._narrations: dict[str, Narration] = {}
        self._owners: dict[str, tuple[str, str | None]] = {}
        self._open: dict[str, str] | None = None
        services.jobs.listen(self._hear)
        services.packs.listen(self._pass_from_pack)
        services.closing.append(self._close)

    def __len__(self) -> int:
        return len(self._connections)

    # ------------------------------------------------------------------ runs

    def remaining(self, scope: str | None) -> int:
        """How many prompts wait or run, of one principal or of all."""
        held = self._held()
        return len(held) if scope is None else sum(1 for principal in held.values() if principal == scope)

    def has_begun(self, run_id: str) -> bool:
        """True if a run's first event has been told."""
        narration = self._narrations.get(run_id)
        return narration is not None and narration.begun

    def _held(self) -> dict[str, str]:
        """The principals of open runs, by run."""
        if self._open is None:
            queue = self._jobs.queue()
            runs = (*queue.running, *queue.waiting)
            self._open = {run.id: run.principal for run in runs if run.source == SOURCE}
        return self._open

    def _hear(self, message: Message, run: RunRecord) -> None:
        if run.source != SOURCE:
            return
        narration = self._narrations.get(run.id) or Narration(prompt_id_of(run), self._redact)
        if isinstance(message, Progress):
            self._follow(run, narration)
            self._tell(run, narration.progress(message))
            return
        if message.kind == "run-queued":
            self._held()[run.id] = run.principal
        elif message.kind == "run-started":
            self._follow(run, narration)
        elif message.kind == "run-finished":
            self._held().pop(run.id, None)
        self._tell(run, narration.event(message.body))
        if message.kind == "run-finished":
            self._narrations.pop(run.id, None)
            self._owners.pop(run.id, None)

    def _follow(self, run: RunRecord, narration: Narration) -> None:
        if run.id in self._held():
            self._narrations[run.id] = narration
            self._owners[run.id] = (run.principal, run.client)

    # ------------------------------------------------------------------ connections

    def connect(self, connection: Connection) -> None:
        """Take up a connection; one with the same client id is replaced."""
        key = (connection.principal.name, connection.client_id)
        former = self._connections.get(key)
        self._connections[key] = connection
        if former is not None:
            former.close()
        connection.send(_text(STATUS, {**self._status(connection.principal), "sid": connection.client_id}))
        for run_id, owner in self._owners.items():
            if owner == key and self._narrations[run_id].running is not None:
                connection.send(_text("executing", {"node": self._narrations[run_id].running}))

    def disconnect(self, connection: Connection) -> None:
        """Forget a connection, unless it has been replaced."""
        key = (connection.principal.name, connection.client_id)
        if self._connections.get(key) is connection:
            del self._connections[key]

    def _close(self) -> None:
        for connection in self._connections.values():
            connection.close()

    def find(self, principal: Principal, client_id: str) -> Connection | None:
        """The connection of a client."""
        return self._connections.get((principal.name, client_id))

    def tell_all(self, kind: str, data: Mapping[str, Any], principal: str) -> None:
        """Tell those who subscribed to the log."""
        text = _text(kind, data)
        for connection in self._seeing(principal):
            if connection.wants_logs:
                connection.send(text, passing=True)

    def _pass_from_pack(self, event: str, data: object, client: str | None, run: str | None) -> None:
        """What a node pack says: to the client that it names, or to all of those who may see the run."""
        owner = self._owners.get(run) if run is not None else None
        text = json.dumps({"type": event, "data": data}, separators=(",", ":"), default=str)
        for connection in self._seeing(owner[0] if owner is not None else OWNER):
            if client in (None, connection.client_id):
                connection.send(text)

    def _tell(self, run: RunRecord, said: list[Said]) -> None:
        if not self._connections:
            return
        for message in said:
            if message.type == STATUS:
                self._tell_status(run)
            elif run.client is not None:
                connection = self._connections.get((run.principal, run.client))
                if connection is not None:
                    _pass_on(connection, message)
            elif message.type in _TO_ALL:
                text = _text(message.type, message.data)
                for connection in self._seeing(run.principal):
                    connection.send(text, passing=message.passing)

    def _tell_status(self, run: RunRecord) -> None:
        texts: dict[str | None, str] = {}
        for connection in self._seeing(run.principal):
            scope = connection.principal.scope
            if scope not in texts:
                texts[scope] = _text(STATUS, self._status(connection.principal))
            connection.send_status(texts[scope])

    def _seeing(self, principal: str) -> Iterator[Connection]:
        """The connections of those who may see a principal's runs."""
        for connection in tuple(self._connections.values()):
            if connection.principal.scope in (None, principal):
                yield connection

    def _status(self, principal: Principal) -> dict[str, Any]:
        return {"status": {"exec_info": {"queue_remaining": self.remaining(principal.scope)}}}


def _pass_on(connection: Connection, message: Said) -> None:
    if message.type == PREVIEW:
        connection.send_preview(message.data, message.picture)
    else:
        connection.send(_text(message.type, message.data), passing=message.passing)


def _text(kind: str, data: Mapping[str, Any]) -> str:
    return json.dumps({"type": kind, "data": data}, separators=(",", ":"), default=str)
