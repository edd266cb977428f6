"""Checks links: their ends exist, and what flows along them fits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from graphcore.checked import CheckedLink, CheckedNode
from graphcore.foreign import fits
from graphcore.sockets import SocketType
from graphcore.spec import InputSpec, NodeSpec
from graphcore.validation_pass import ValidationPass
from graphcore.views import Fit, SpecView
from graphcore.workflow import Link


class LinkChecker:
    """Resolves the links of a document.

    `position` gives the index of each node whose type is known, `views` their types. What two types have to do with
    each other is found out once and kept in the consumer's view.
    """

    def __init__(self, scope: ValidationPass) -> None:
        self.scope = scope
        self.problems = scope.problems
        self.hints = scope.hints
        self.native = scope.native
        self.outer = scope.outer or {}
        self.position: dict[str, int] = {}
        self.views: list[SpecView] = []
        self.count = 0
        self._generic = False
        self._unread = {problem.node for problem in scope.workflow.problems}

    def connect(
        self, node: CheckedNode, view: SpecView, declared: InputSpec, name: str, link: Link, place: int
    ) -> None:
        """Add a link to a node, or report what is wrong with it."""
        self.count += 1
        source = self.position.get(link.node)
        if source is not None and link.node != node.id:
            fit = view.fits.get((name, self.views[source].number, link.output))
            if fit is not None:
                node.links.append(
                    CheckedLink(name, source, fit.output, place, fit.deferred, fit.raw, fit.guard)
                )
                return
        self._resolve(node, view, declared, name, link, place)

    def _resolve(
        self, node: CheckedNode, view: SpecView, declared: InputSpec, name: str, link: Link, place: int
    ) -> None:
        where = self.scope.at_input(node.id, name, place)
        if link.node == node.id:
            self.problems.add(
                "self-link",
                f"'{name}' is linked to its own node; link it to another one.",
                node=node.id,
                input=name,
                pointer=where,
            )
            return
        output = self.find_output(link, where, node.id, name)
        if output is None:
            return
        source = self.position.get(link.node)
        outer = self.outer[link.node] if source is None else None
        spec = self.views[source].spec if source is not None else self.outer[link.node].spec
        kind, wanted = spec.outputs[output].type, declared.type
        fit = Fit(output, declared.lazy or declared.raw_link, declared.raw_link, self._guard(declared, kind))
        if view.spec.foreign is not None:
            if not self._suits(view.spec, declared, spec, output):
                self._mismatch(node, name, place, wanted, kind)
                return
            fit = replace(fit, guard=None)
        elif kind.variable is not None or wanted.variable is not None:
            self._generic = True
        elif not self._fits(declared, wanted, kind):
            self._mismatch(node, name, place, wanted, kind)
            return
        elif source is not None:
            view.fits[name, self.views[source].number, link.output] = fit
        index = source if outer is None else -1 - outer.index
        assert index is not None
        node.links.append(CheckedLink(name, index, output, place, fit.deferred, fit.raw, fit.guard))

    def _suits(self, taker: NodeSpec, declared: InputSpec, giver: NodeSpec, output: int) -> bool:
        """True if ComfyUI lets a link stand that leads into a node of a pack; it does not look into expansions."""
        foreign = taker.foreign
        if (
            foreign is None
            or foreign.any_link
            or self.scope.outer is not None
            or declared.name not in foreign.inputs
        ):
            return True
        received: object = giver.outputs[output].type.name
        if giver.foreign is not None:
            received = giver.foreign.outputs[output]
        return fits(received, foreign.inputs[declared.name])

    @staticmethod
    def _fits(declared: InputSpec, wanted: SocketType, kind: SocketType) -> bool:
        if declared.choices is not None and kind.name in ("COMBO", "STRING", "INT", "FLOAT", "BOOLEAN"):
            return True
        return wanted.accepts(kind)

    def _guard(self, declared: InputSpec, kind: SocketType) -> InputSpec | None:
        """What must still be checked when the value is there: its type, its choices, in native documents its range."""
        wanted = declared.type
        if not self.native and declared.range is not None:
            declared = replace(declared, range=None)
        if declared.choices is not None or declared.range is not None:
            return declared
        return declared if wanted.python is not None and wanted != kind else None

    def find_output(self, link: Link, where: str, node: str | None, name: str | None) -> int | None:
        """The index of a link's output, or None (and a problem) if there is none."""
        source = self.position.get(link.node)
        if source is not None:
            return self._output_of(self.views[source].spec, link, where, node, name)
        if link.node in self.outer:
            return self._output_of(self.outer[link.node].spec, link, where, node, name)
        if link.node not in self.scope.workflow.nodes and link.node not in self._unread:
            near = self.hints.nearest(link.node, self.scope.workflow.nodes)
            hint = f"; did you mean '{near}'?" if near else "; link it to a node that exists."
            self.problems.add(
                "unknown-link-node",
                f"The link leads to the node '{link.node[:80]}', which does not exist{hint}",
                node=node,
                input=name,
                pointer=where,
                got=link.node[:80],
                nearest=near,
            )
        return None

    def _output_of(
        self, spec: NodeSpec, link: Link, where: str, node: str | None, name: str | None
    ) -> int | None:
        output = link.output
        known = ", ".join(entry.name for entry in spec.outputs) or "none"
        near = None
        if isinstance(output, str):
            index = spec.output_index.get(output)
            if index is not None:
                return index
            near = self.hints.nearest(output, spec.output_index)
        elif output == 0 and len(spec.outputs) > 1 and self.native:
            self.problems.add(
                "unknown-link-output",
                f"{spec.name} ('{link.node}') has several outputs; name one of: {known}.",
                node=node,
                input=name,
                pointer=where,
                expected=known,
            )
            return None
        elif 0 <= output < len(spec.outputs):
            return output
        hint = f"; did you mean '{near}'?" if near else f"; it has: {known}."
        self.problems.add(
            "unknown-link-output",
            f"{spec.name} ('{link.node[:80]}') has no output {str(output)[:80]!r}{hint}",
            node=node,
            input=name,
            pointer=where,
            expected=known,
            got=str(output)[:80],
            nearest=near,
        )
        return None

    def bind_types(self, ordered: Sequence[CheckedNode]) -> dict[int, tuple[SocketType, ...]]:
        """Bind the type variables of generic nodes and check the links that they have a part in.

        Nodes stand after their sources. Returns the bound output types of generic nodes, by index.
        """
        bound: dict[int, tuple[SocketType, ...]] = {}
        if not self._generic:
            return bound
        for index, node in enumerate(ordered):
            spec = node.spec
            variables: dict[str, SocketType] = {}
            for link in node.links:
                declared = spec.input(link.input)
                assert declared is not None
                if declared.type.variable is None and link.source not in bound:
                    continue
                self._bind(node, link, declared, variables, self._source_type(ordered, link, bound))
            if spec.generic:
                bound[index] = tuple(
                    variables.get(output.type.variable, output.type) if output.type.variable else output.type
                    for output in spec.outputs
                )
        return bound

    def _bind(
        self,
        node: CheckedNode,
        link: CheckedLink,
        declared: InputSpec,
        variables: dict[str, SocketType],
        kind: SocketType,
    ) -> None:
        wanted = declared.type
        link.guard = self._guard(declared, kind)
        if wanted.variable is not None:
            known = variables.get(wanted.variable)
            if known is None or known.is_any:
                variables[wanted.variable] = kind
                return
            wanted = known
        if not self._fits(declared, wanted, kind):
            self._mismatch(node, link.input, link.position, wanted, kind)

    def _source_type(
        self, ordered: Sequence[CheckedNode], link: CheckedLink, bound: Mapping[int, tuple[SocketType, ...]]
    ) -> SocketType:
        if link.source < 0:
            outside = -1 - link.source
            spec = next(node.spec for node in self.outer.values() if node.index == outside)
            return spec.outputs[link.output].type
        types = bound.get(link.source)
        return (
            types[link.output] if types is not None else ordered[link.source].spec.outputs[link.output].type
        )

    def _mismatch(
        self, node: CheckedNode, name: str, place: int, wanted: SocketType, kind: SocketType
    ) -> None:
        self.problems.add(
            "link-type-mismatch",
            f"'{name}' takes {wanted}, and the link brings {kind}; link a {wanted} output.",
            node=node.id,
            input=name,
            pointer=self.scope.at_input(node.id, name, place),
            expected=str(wanted),
            got=str(kind),
        )
