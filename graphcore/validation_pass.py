"""What all parts of one pass of validation share: the document, what it is checked against, and what was found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from graphcore.errors import ProblemList
from graphcore.limits import Limits
from graphcore.literals import LiteralRules
from graphcore.nearest import Suggestions
from graphcore.pointers import pointer
from graphcore.registry import Registry
from graphcore.spec import NodeSpec
from graphcore.workflow import Dialect, Workflow


@dataclass(frozen=True, slots=True)
class OuterNode:
    """A node around an expansion: its place in the run and its type."""

    index: int
    spec: NodeSpec


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ValidationPass:
    """One pass over a document. `outer` are the nodes around an expansion; None for a whole workflow."""

    workflow: Workflow
    registry: Registry
    limits: Limits
    rules: LiteralRules
    outer: Mapping[str, OuterNode] | None
    hints: Suggestions
    problems: ProblemList

    @property
    def native(self) -> bool:
        """Whether the document is in the native dialect, which is strict."""
        return self.workflow.dialect is Dialect.NATIVE

    def at(self, *path: str) -> str:
        """The JSON pointer of what stands at a path below the document's nodes."""
        return pointer(*(("nodes",) if self.native else ()), *path)

    def at_input(self, node_id: str, name: str, place: int = -1) -> str:
        """The JSON pointer of a node's input, or of a place in its list."""
        where = self.at(node_id, "inputs", name)
        return where if place < 0 else f"{where}/{place}"
