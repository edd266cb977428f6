"""Checks links: their ends exist, and what flows along them fits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from graphcore.checked import CheckedLink, CheckedNode
from graphcore.errors import ProblemList
from graphcore.pointers import pointer
from graphcore.registry import Registry
from graphcore.sockets import SocketType
from graphcore.spec import InputSpec, NodeSpec
from graphcore.workflow import Link, Workflow


@dataclass(frozen=True, slots=True)
class OuterNode:
    """A node around an expansion: its place in the run and its type."""

    index: int
    spec: NodeSpec


@dataclass(slots=True, eq=False)
class _Pending:
    node: CheckedNode
    declared: InputSpec
    input: str
    link: Link
    position: int


class LinkChecker:
    """Collects the links of a document, then resolves them all."""

    def __init__(
        self,
        workflow: Workflow,
        registry: Registry,
        problems: ProblemList,
        prefix: tuple[str, ...],
        outer: Mapping[str, OuterNode] | None,
    ) -> None:
        self.workflow = workflow
        self.registry = registry
        self.problems = problems
        self.prefix = prefix
        self.outer = outer
        self.pending: list[_Pending] = []

    @property
    def count(self) -> int:
        return len(self.pending)

    def add(self, node: CheckedNode, declared: InputSpec, name: str, link: object, position: int) -> None:
        """Remember a link; `resolve` looks at it when all nodes are known."""
        assert isinstance(link, Link)
        self.pending.append(_Pending(node, declared, name, link, position))

    def resolve(self, nodes: Sequence[CheckedNode], position: Mapping[str, int]) -> None:
        """Find both ends of every link; report those that have none."""
        del nodes
        for item in self.pending:
            link, node = item.link, item.node
            if link.node == node.id:
                self.problems.add(
                    "self-link",
                    f"'{item.input}' is linked to its own node; link it to another one.",
                    node=node.id,
                    input=item.input,
                    pointer=self._at(item),
                )
                continue
            output = self.find_output(link, self._at(item), node.id, item.input)
            if output is None:
                continue
            source = position.get(link.node)
            if source is None:
                if self.outer is None or link.node not in self.outer:
                    continue
                source = -1 - self.outer[link.node].index
            declared = item.declared
            deferred = declared.lazy or declared.raw_link
            node.links.append(CheckedLink(item.input, source, output, item.position, deferred))

    def find_output(self, link: Link, where: str, node: str | None, name: str | None) -> int | None:
        """The index of a link's output, or None (and a problem) if there is none."""
        entry = self.workflow.nodes.get(link.node)
        if entry is None:
            if self.outer is not None and link.node in self.outer:
                return self._output_of(self.outer[link.node].spec, link, where, node, name)
            near = get_close_matches(link.node, list(self.workflow.nodes), n=1) if len(self.workflow.nodes) < 5000 else []
            hint = f"; did you mean '{near[0]}'?" if near else "; link it to a node that exists."
            self.problems.add(
                "unknown-link-node",
                f"The link leads to the node '{link.node[:80]}', which does not exist{hint}",
                node=node,
                input=name,
                pointer=where,
                got=link.node[:80],
                nearest=near[0] if near else None,
            )
            return None
        spec = self.registry.get(entry.type)
        return None if spec is None else self._output_of(spec, link, where, node, name)

    def _output_of(
        self, spec: NodeSpec, link: Link, where: str, node: str | None, name: str | None
    ) -> int | None:
        output = link.output
        if isinstance(output, int):
            if 0 <= output < len(spec.outputs):
                if output == 0 and len(spec.outputs) > 1 and self.prefix:
                    return self._unnamed(spec, where, node, name)
                return output
        else:
            index = spec.output_index.get(output)
            if index is not None:
                return index
        known = ", ".join(entry.name for entry in spec.outputs) or "none"
        near = get_close_matches(str(output), list(spec.output_index), n=1)
        hint = f"; did you mean '{near[0]}'?" if near else f"; it has: {known}."
        self.problems.add(
            "unknown-link-output",
            f"{spec.name} ('{link.node}') has no output {str(output)[:80]!r}{hint}",
            node=node,
            input=name,
            pointer=where,
            expected=known,
            got=str(output)[:80],
            nearest=near[0] if near else None,
        )
        return None

    def _unnamed(self, spec: NodeSpec, where: str, node: str | None, name: str | None) -> None:
        known = ", ".join(entry.name for entry in spec.outputs)
        self.problems.add(
            "unknown-link-output",
            f"{spec.name} has several outputs; name one of: {known}.",
            node=node,
            input=name,
            pointer=where,
            expected=known,
        )

    def _at(self, item: _Pending) -> str:
        where = pointer(*self.prefix, item.node.id, "inputs", item.input)
        return where if item.position < 0 else f"{where}/{item.position}"

    def check_types(self, ordered: Sequence[CheckedNode]) -> dict[int, tuple[SocketType, ...]]:
        """Check that every link fits, binding type variables on the way; nodes stand after their sources.

        Returns the bound output types of generic nodes, by index.
        """
        bound: dict[int, tuple[SocketType, ...]] = {}
        for index, node in enumerate(ordered):
            variables: dict[str, SocketType] = {}
            for link in node.links:
                declared = node.spec.by_name.get(link.input) or node.spec.open_inputs
                assert declared is not None
                kind = self._source_type(ordered, link, bound)
                wanted = declared.type
                if declared.choices is not None or (wanted.python is not None and wanted != kind):
                    link.guard = declared
                if wanted.variable is not None:
                    wanted = variables.setdefault(wanted.variable, kind)
                    if wanted.is_any:
                        variables[declared.type.variable or ""] = wanted = kind
                if declared.choices is not None and kind.name in ("COMBO", "STRING", "INT", "FLOAT", "BOOLEAN"):
                    continue
                if not wanted.accepts(kind):
                    self._mismatch(node, link, wanted, kind)
            if any(output.type.variable is not None for output in node.spec.outputs):
                bound[index] = tuple(
                    variables.get(output.type.variable, output.type) if output.type.variable else output.type
                    for output in node.spec.outputs
                )
        return bound

    def _source_type(
        self, ordered: Sequence[CheckedNode], link: CheckedLink, bound: Mapping[int, tuple[SocketType, ...]]
    ) -> SocketType:
        if link.source < 0:
            assert self.outer is not None
            wanted = -1 - link.source
            spec = next(node.spec for node in self.outer.values() if node.index == wanted)
            return spec.outputs[link.output].type
        types = bound.get(link.source)
        return types[link.output] if types is not None else ordered[link.source].spec.outputs[link.output].type

    def _mismatch(self, node: CheckedNode, link: CheckedLink, wanted: SocketType, kind: SocketType) -> None:
        where = pointer(*self.prefix, node.id, "inputs", link.input)
        self.problems.add(
            "link-type-mismatch",
            f"'{link.input}' takes {wanted}, and the link brings {kind}; link a {wanted} output.",
            node=node.id,
            input=link.input,
            pointer=where if link.position < 0 else f"{where}/{link.position}",
            expected=str(wanted),
            got=str(kind),
        )
