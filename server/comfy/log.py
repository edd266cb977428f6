"""A log of prompts in words, for clients that show a server's terminal."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from server.comfy.live import Live
from server.comfy.twofold import SOURCE
from server.hub import Message
from server.records import Progress, RunRecord
from server.services import Services

_KEPT: Final = 300
_SIZE: Final[Mapping[str, int]] = {"cols": 120, "rows": 40}


class PromptLog:
    """The last lines, and whose prompts they are about."""

    def __init__(self, services: Services, live: Live) -> None:
        self._live = live
        self._redact = services.redaction.text
        self._lines: deque[tuple[str, dict[str, str]]] = deque(maxlen=_KEPT)
        services.jobs.listen(self._hear)

    def entries(self, scope: str | None) -> list[dict[str, str]]:
        """The lines that somebody may see."""
        return [entry for principal, entry in self._lines if scope in (None, principal)]

    def told(self, entries: Iterable[Mapping[str, str]]) -> dict[str, Any]:
        """Lines as clients are told of them."""
        return {"entries": list(entries), "size": _SIZE}

    def _hear(self, message: Message, run: RunRecord) -> None:
        if run.source != SOURCE or isinstance(message, Progress):
            return
        line = _line(message.kind, message.body)
        if line is None:
            return
        moment = datetime.fromtimestamp(message.body["time"], UTC).isoformat()
        entry = {"t": moment, "m": f"{self._redact(line)}\n"}
        self._lines.append((run.principal, entry))
        self._live.tell_all("logs", self.told([entry]), run.principal)


def _line(kind: str, body: Mapping[str, Any]) -> str | None:
    match kind:
        case "run-queued":
            return "got prompt"
        case "node-failed":
            return str(body["error"]["message"])
        case "run-finished":
            return f"Prompt {body['state']} in {body['seconds']:.2f} seconds"
    return None
