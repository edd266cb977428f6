"""What a worker tells of its ComfyUI packs: their node types as data, and what their nodes have against inputs."""

from __future__ import annotations

import importlib
from collections.abc import Collection, Mapping
from typing import Any

from graphcore.foreign import Examined
from graphcore.registry import Registry
from graphcore.worker.configuration import WorkerConfiguration
from graphcore.worker.outbox import Outbox


class PackVoice:
    """Passes on what packs say to clients; `run` is the run that is under way, if any."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self.run: str | None = None

    def send(self, event: str, data: object, client: str | None) -> None:
        """Pass on a message for a client, or for all."""
        self._outbox.send({"op": "message", "event": event, "data": data, "client": client, "run": self.run})


def described_packs(
    registry: Registry, names: Collection[str] | None = None, *, fresh: bool = False
) -> dict[str, Any]:
    """The packs of a registry, and the descriptions of their node types (of those named).

    With `fresh`, the types are read anew, as their lists of choices may have changed.
    """
    nodes = []
    for spec in registry:
        foreign = spec.foreign
        if foreign is None or (names is not None and spec.name not in names):
            continue
        current = foreign.fresh().foreign if fresh and foreign.fresh is not None else foreign
        assert current is not None
        nodes.append(current.description)
    return {"reports": [report.as_json() for report in registry.pack_reports], "nodes": nodes}


def start_pages(registry: Registry, configuration: WorkerConfiguration) -> str | None:
    """Answer the routes that packs have asked for, if they have; the path of the socket on which they are answered."""
    routes = registry.pack_routes()
    if not routes or not configuration.pages:
        return None
    started: str | None = importlib.import_module(configuration.pages).start(routes, configuration.page_bytes)
    return started


def objections(registry: Registry, question: Mapping[str, Any]) -> list[dict[str, str | None]]:
    """What a node's own check has against its inputs."""
    spec = registry.get(question["type"])
    if spec is None or spec.foreign is None or spec.foreign.examine is None:
        return []
    received = {name: (source[0], source[1]) for name, source in question["received"].items()}
    found = spec.foreign.examine(
        Examined(node=question["node"], values=question["values"], received=received)
    )
    return [{"input": objection.input, "text": objection.text} for objection in found]
