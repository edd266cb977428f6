"""Total validation: one pass over a document finds every problem in it, in linear time, without recursion."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from graphcore.checked import CheckedGraph, CheckedNode, OutputPlace
from graphcore.collection import collection_paused
from graphcore.errors import Problem, ProblemList, ValidationError
from graphcore.files import Files
from graphcore.growing import gathered
from graphcore.limits import Limits
from graphcore.links import LinkChecker
from graphcore.literals import LiteralRules
from graphcore.nearest import Suggestions
from graphcore.node_checks import NodeChecker
from graphcore.registry import Registry
from graphcore.topology import DepthFirstOrder, cycles
from graphcore.validation_pass import OuterNode, ValidationPass
from graphcore.workflow import NodeEntry, Workflow
from graphcore.workflow_ends import check_declared_inputs, declared_outputs, roots


def validate(
    workflow: Workflow,
    registry: Registry,
    *,
    files: Files | None = None,
    limits: Limits | None = None,
    targets: Collection[str] | None = None,
) -> list[Problem]:
    """Every problem of a workflow; an empty list if it can run."""
    checker = _Checker(workflow, registry, files, limits or Limits())
    checker.check(targets)
    return checker.problems.items


def check_workflow(
    workflow: Workflow,
    registry: Registry,
    *,
    files: Files | None = None,
    limits: Limits | None = None,
    targets: Collection[str] | None = None,
    outer: Mapping[str, OuterNode] | None = None,
) -> CheckedGraph:
    """Validate a workflow for a run; raises ValidationError with every problem.

    `targets` are ids of nodes or names of declared outputs to run for; without them all output nodes and declared
    outputs are. `outer` are the nodes around an expansion, which its links may name.
    """
    checker = _Checker(workflow, registry, files, limits or Limits(), outer)
    with collection_paused():
        graph = checker.check(targets)
    if checker.problems.items or graph is None:
        raise ValidationError(checker.problems.items)
    return graph


class _Checker:
    def __init__(
        self,
        workflow: Workflow,
        registry: Registry,
        files: Files | None,
        limits: Limits,
        outer: Mapping[str, OuterNode] | None = None,
    ) -> None:
        workflow, hints = gathered(workflow, registry), Suggestions()
        self.problems = ProblemList(list(workflow.problems))
        self.scope = ValidationPass(
            workflow=workflow,
            registry=registry,
            limits=limits,
            rules=LiteralRules(dialect=workflow.dialect, files=files, limits=limits, hints=hints),
            outer=outer,
            hints=hints,
            problems=self.problems,
        )
        self.links = LinkChecker(self.scope)
        self.nodes = NodeChecker(self.scope, self.links)

    def check(self, targets: Collection[str] | None) -> CheckedGraph | None:
        """Check everything; None if the problems leave nothing that could run."""
        entries, limits = self.scope.workflow.nodes, self.scope.limits
        if len(entries) > limits.nodes:
            self._over_budget("nodes", len(entries), limits.nodes)
            return None
        position, views = self.links.position, self.links.views
        known: list[tuple[str, NodeEntry]] = []
        for node_id, entry in entries.items():
            view = self.nodes.view(node_id, entry)
            if view is not None:
                position[node_id] = len(views)
                views.append(view)
                known.append((node_id, entry))
        nodes = [
            self.nodes.node(node_id, entry, view) for (node_id, entry), view in zip(known, views, strict=True)
        ]
        if self.links.count > limits.links:
            self._over_budget("links", self.links.count, limits.links)
        check_declared_inputs(self.scope)
        outputs = declared_outputs(self.scope, self.links)
        return self._ordered(nodes, roots(self.scope, self.links, targets, nodes), outputs)

    def _over_budget(self, what: str, count: int, limit: int) -> None:
        self.problems.add(
            "over-budget",
            f"The workflow has {count} {what}, and the limit is {limit}; split it.",
            pointer=self.scope.at(),
            expected=f"<= {limit}",
            got=str(count),
        )

    def _ordered(
        self, nodes: list[CheckedNode], roots: list[int], outputs: Mapping[str, OutputPlace]
    ) -> CheckedGraph | None:
        sources = [[link.source for link in node.links if link.source >= 0] for node in nodes]
        walk = DepthFirstOrder(sources)
        walk.add(roots)
        needed = len(walk.order)
        walk.add(range(len(nodes)))
        if walk.cyclic:
            self._report_cycles(sources, nodes)
            return None
        place = [0] * len(nodes)
        for rank, index in enumerate(walk.order):
            place[index] = rank
        ordered = [nodes[index] for index in walk.order]
        self.nodes.examine(nodes)
        for node in ordered:
            for link in node.links:
                if link.source >= 0:
                    link.source = place[link.source]
                    if ordered[link.source].late:
                        node.late = True
        types = self.links.bind_types(ordered)
        if self.problems.items:
            return None
        return CheckedGraph(
            nodes=ordered,
            needed=needed,
            index={node.id: rank for rank, node in enumerate(ordered)},
            targets=tuple(place[root] for root in roots),
            outputs={name: OutputPlace(place[found.node], found.output) for name, found in outputs.items()},
            workflow=self.scope.workflow,
            dialect=self.scope.workflow.dialect,
            types=types,
        )

    def _report_cycles(self, sources: list[list[int]], nodes: list[CheckedNode]) -> None:
        for walk in cycles(sources):
            names = [nodes[index].id for index in walk]
            shown = " → ".join([*names[:20], *(["…"] if len(names) > 20 else []), names[0]])
            self.problems.add(
                "cycle",
                f"These nodes feed each other in a circle: {shown}; remove one of the links.",
                node=names[0],
                pointer=self.scope.at(names[0]),
                got=shown,
            )
