"""Validates what is submitted, on threads beside the event loop: the server takes no run that could not begin."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, TypeVar

from graphcore.checked import CheckedGraph
from graphcore.errors import ValidationError
from graphcore.files import Files
from graphcore.formats.reading import read_workflow
from graphcore.limits import Limits
from graphcore.policy import unfiltered_pictures
from graphcore.registry import Registry
from graphcore.validation import check_workflow
from graphcore.workflow import Workflow
from server.packs import Packs

_THREADS: Final = 2
ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What a workflow is checked against. With `require_safety`, every picture it keeps must pass a safety filter."""

    registry: Registry
    files: Files
    limits: Limits
    require_safety: bool = False
    packs: Packs | None = None

    def read(self, document: bytes) -> Workflow:
        """Read a workflow in any format; raises DocumentError."""
        return read_workflow(document, self.registry)

    def check(
        self,
        workflow: Workflow,
        *,
        inputs: Mapping[str, object] | None = None,
        targets: Collection[str] | None = None,
    ) -> CheckedGraph:
        """A workflow that could begin; raises ValidationError with every problem."""
        if self.packs is not None:
            self.packs.prepare(workflow)
        graph = check_workflow(
            workflow.with_inputs(inputs or {}),
            self.registry,
            files=self.files,
            limits=self.limits,
            targets=targets,
        )
        if self.require_safety and (problems := unfiltered_pictures(graph)):
            raise ValidationError(problems)
        return graph


class Checker:
    """`Rules`, off the event loop."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="graphcore-checker")

    async def read(self, document: bytes) -> Workflow:
        """Read a workflow in any format; raises DocumentError."""
        return await self.call(lambda rules: rules.read(document))

    async def check(
        self,
        document: bytes,
        *,
        inputs: Mapping[str, object] | None = None,
        targets: Collection[str] | None = None,
    ) -> CheckedGraph:
        """Read and check; raises DocumentError or ValidationError."""
        return await self.call(
            lambda rules: rules.check(rules.read(document), inputs=inputs, targets=targets)
        )

    async def call(self, work: Callable[[Rules], ResultT]) -> ResultT:
        """What some work with the rules returns."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, self.rules)

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)
