"""The ComfyUI packs that the workers have loaded: their nodes as data. No code of theirs is in this process."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn, Protocol

from graphcore.foreign import Examined, Objection
from graphcore.foreign_spec import Description, Hooks, foreign_spec
from graphcore.pack_reports import PackReport
from graphcore.registry import Registry
from graphcore.workflow import Workflow

_log = logging.getLogger(__name__)
_ASK_S: Final = 30.0
Listener = Callable[[str, object, str | None, str | None], None]


class PackWorker(Protocol):
    """A worker that has loaded packs and answers questions about them."""

    async def ask(self, question: Mapping[str, Any], limit_s: float) -> Mapping[str, Any] | None:
        """The answer, or None if there is none in time."""
        ...


class Packs:
    """What is known of the packs; workers tell it when they are ready, and are asked again when it matters."""

    def __init__(self, registry: Registry, *, expected: bool) -> None:
        self._registry = registry
        self.expected = expected
        self._workers: list[PackWorker] = []
        self._names: frozenset[str] = frozenset()
        self._told = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._listeners: list[Listener] = []
        self.reports: tuple[PackReport, ...] = ()
        self._sockets: dict[PackWorker, str] = {}

    # ------------------------------------------------------------------ what workers say

    def ready(self, worker: PackWorker, described: Mapping[str, Any]) -> None:
        """A worker is ready, and has loaded these packs."""
        self._loop = asyncio.get_running_loop()
        if worker not in self._workers:
            self._workers.append(worker)
        if described.get("socket"):
            self._sockets[worker] = str(described["socket"])
        self._take(described)
        self._told.set()

    def gone(self, worker: PackWorker) -> None:
        """A worker is gone, or cannot start; its nodes stay known."""
        if worker in self._workers:
            self._workers.remove(worker)
        socket = self._sockets.pop(worker, None)
        if socket is not None:
            shutil.rmtree(Path(socket).parent, ignore_errors=True)
        self._told.set()

    @property
    def socket(self) -> str | None:
        """Where the routes that packs have asked for are answered, if they have asked for any."""
        return next(iter(self._sockets.values()), None)

    def said(self, event: str, data: object, client: str | None, run: str | None) -> None:
        """A pack has something to say to clients, to one of them or to all, while this run was under way."""
        for listener in self._listeners:
            listener(event, data, client, run)

    def listen(self, listener: Listener) -> None:
        """Be told what packs say to clients."""
        self._listeners.append(listener)

    async def settled(self, limit_s: float) -> None:
        """Wait until a worker has told of its packs, but not for ever."""
        if self.expected:
            try:
                await asyncio.wait_for(self._told.wait(), limit_s)
            except TimeoutError:
                _log.warning(
                    "The workers take long to load their node packs; the nodes are added when they have."
                )

    def _take(self, described: Mapping[str, Any]) -> None:
        self.reports = tuple(PackReport.from_json(report) for report in described.get("reports", ()))
        nodes: Sequence[Description] = described.get("nodes", ())
        for description in nodes:
            try:
                self._registry.replace_spec(
                    foreign_spec(
                        description, Hooks(function=_elsewhere, examine=self._examiner(description["name"]))
                    )
                )
            except (KeyError, TypeError, ValueError) as error:
                _log.error("A node type of a pack cannot be read: %r", error)
        self._names |= {str(description["name"]) for description in nodes}

    # ------------------------------------------------------------------ what workers are asked

    def folder(self, pack: str) -> Path | None:
        """The folder of a pack's files for browsers."""
        found = next((report.web for report in self.reports if report.name == pack and report.web), None)
        return None if found is None else Path(found)

    async def refresh(self, names: Collection[str] | None = None) -> None:
        """Read these node types anew (or all): their lists of choices may have changed."""
        if not self._names:
            return
        answer = await self._ask({"op": "describe", "names": None if names is None else sorted(names)})
        if answer is not None and "error" not in answer:
            self._take(answer)

    def prepare(self, workflow: Workflow) -> None:
        """Read the types of a workflow's pack nodes anew; for threads beside the event loop."""
        used = {entry.type for entry in workflow.nodes.values()} & self._names
        if used:
            self._wait(self.refresh(used))

    def _examiner(self, name: str) -> Callable[[Examined], Sequence[Objection]]:
        def examine(examined: Examined) -> Sequence[Objection]:
            question = {
                "op": "examine",
                "type": name,
                "node": examined.node,
                "values": dict(examined.values),
                "received": {key: list(source) for key, source in examined.received.items()},
            }
            answer = self._wait(self._ask(question)) or {}
            if "error" in answer:
                return [Objection(input="", text=str(answer["error"]))]
            return [Objection(**found) for found in answer.get("objections", ())]

        return examine

    async def _ask(self, question: Mapping[str, Any]) -> Mapping[str, Any] | None:
        for worker in tuple(self._workers):
            answer = await worker.ask(question, _ASK_S)
            if answer is not None:
                return answer
        return None

    def _wait(self, work: Any) -> Any:
        """Wait on a thread for what the event loop does; nothing is asked on the loop's own thread."""
        loop = self._loop
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            if loop is not None and not loop.is_closed():
                return asyncio.run_coroutine_threadsafe(work, loop).result(2 * _ASK_S)
        work.close()
        return None


def _elsewhere(**inputs: object) -> NoReturn:
    raise NotImplementedError("The nodes of packs run in workers.")
