"""Gives each node of a run its context: how it reports progress, and what it may know of the run."""

from __future__ import annotations

from collections.abc import Mapping

from graphcore.checked import CheckedNode
from graphcore.context import CancelToken, Context, Preview
from graphcore.errors import Cancelled
from graphcore.journal import Journal
from graphcore.provenance.record import RecordSource
from graphcore.provenance.texts import picture_texts
from graphcore.run_graph import RunGraph
from graphcore.run_options import RunHouse, RunOptions
from graphcore.tasks import Tasks


class NodeContexts:
    """The contexts of one run's nodes."""

    def __init__(
        self,
        run_id: str,
        graph: RunGraph,
        house: RunHouse,
        options: RunOptions,
        *,
        token: CancelToken,
        journal: Journal,
        tasks: Tasks,
    ) -> None:
        self._run_id = run_id
        self._graph = graph
        self._house = house
        self._options = options
        self._token = token
        self._journal = journal
        self._tasks = tasks
        self._parts: dict[type, object] = {}

    def of(self, node: CheckedNode) -> Context | None:
        """The context of a node, or None for a node that takes none."""
        if node.spec.context_name is None:
            return None

        def progress(done: int, total: int, preview: Preview | None) -> None:
            if self._tasks.over:
                raise Cancelled("the run has ended")
            self._tasks.on_loop(self._progressed, node, done, total, preview)

        def blocked(message: str) -> None:
            self._journal.blocked(node, message)

        return Context(
            node_id=node.id,
            node_type=node.spec.name,
            run_id=self._run_id,
            services=self._house.services,
            token=self._token,
            listener=progress,
            previews=self._options.previews,
            document=self._graph.checked.workflow,
            registry=self._house.registry,
            metadata=self._options.metadata or {},
            recorder=self._picture_texts,
            blocking=blocked if node.spec.foreign is not None else None,
            run_parts=self._parts,
        )

    def _progressed(self, node: CheckedNode, done: int, total: int, preview: Preview | None) -> None:
        if not self._tasks.over:
            self._journal.progressed(node, done, total, preview)

    def _picture_texts(self, node: str, picture: int) -> Mapping[str, str]:
        services, registry = self._house.services, self._house.registry
        source = RecordSource(
            workflow=self._graph.checked.workflow,
            nodes=self._graph.nodes,
            reports=tuple(self._journal.reports),
            index=self._graph.ids,
            files=services.files,
            environment=registry.environment(services.settings),
            seconds=self._journal.seconds(),
        )
        return picture_texts(source, registry, self._options.metadata or {}, node, picture)
