"""Total validation: one pass over a document finds every problem in it, in linear time, without recursion."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from graphcore.checked import CheckedGraph, CheckedLink, CheckedNode, OutputPlace
from graphcore.errors import Problem, ProblemList, ValidationError
from graphcore.files import Files
from graphcore.limits import Limits
from graphcore.links import LinkChecker, OuterNode
from graphcore.lists import Constant
from graphcore.literals import Fault, LiteralRules
from graphcore.pointers import pointer
from graphcore.registry import Registry
from graphcore.spec import MISSING, InputSpec, NodeSpec
from graphcore.topology import cycles, depth_first_order
from graphcore.workflow import Dialect, Link, NodeEntry, Workflow


@dataclass(frozen=True, slots=True, kw_only=True)
class _SpecView:
    """What is looked up for each node of a type, made once per type and pass."""

    spec: NodeSpec
    defaults: dict[str, object]
    required: tuple[str, ...]
    late: frozenset[str]


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
        self.workflow = workflow
        self.registry = registry
        self.limits = limits
        self.outer = outer
        self.native = workflow.dialect is Dialect.NATIVE
        self.rules = LiteralRules(dialect=workflow.dialect, files=files, limits=limits)
        self.problems = ProblemList(list(workflow.problems))
        self.views: dict[str, _SpecView | None] = {}
        self.prefix = ("nodes",) if self.native else ()

    def check(self, targets: Collection[str] | None) -> CheckedGraph | None:
        """Check everything; None if the problems leave nothing that could run."""
        workflow = self.workflow
        if len(workflow.nodes) > self.limits.nodes:
            self.problems.add(
                "over-budget",
                f"The workflow has {len(workflow.nodes)} nodes, and the limit is {self.limits.nodes}.",
                pointer=pointer(*self.prefix),
            )
            return None
        links = LinkChecker(workflow, self.registry, self.problems, self.prefix, self.outer)
        nodes: list[CheckedNode] = []
        position: dict[str, int] = {}
        for node_id, entry in workflow.nodes.items():
            view = self._view(node_id, entry)
            if view is None:
                continue
            position[node_id] = len(nodes)
            nodes.append(self._node(node_id, entry, view, links))
        links.resolve(nodes, position)
        if links.count > self.limits.links:
            self.problems.add(
                "over-budget", f"The workflow has {links.count} links, and the limit is {self.limits.links}."
            )
        self._check_declared_inputs()
        roots = self._roots(targets, position, nodes)
        return self._ordered(nodes, position, roots, links)

    def _view(self, node_id: str, entry: NodeEntry) -> _SpecView | None:
        name = entry.type
        if name in self.views:
            view = self.views[name]
        else:
            spec = self.registry.get(name)
            view = self.views[name] = _view(spec) if spec is not None else None
        if view is None:
            near = self.registry.nearest(name)
            hint = f"; did you mean '{near}'?" if near else "; install the pack that has it."
            self.problems.add(
                "unknown-node-type",
                f"There is no node type '{name[:80]}'{hint}",
                node=node_id,
                pointer=pointer(*self.prefix, node_id, "type" if self.native else "class_type"),
                expected="a known node type",
                got=name[:80],
                nearest=near,
            )
        return view

    def _node(self, node_id: str, entry: NodeEntry, view: _SpecView, links: LinkChecker) -> CheckedNode:
        spec = view.spec
        arguments = dict(view.defaults)
        node = CheckedNode(node_id, spec, arguments, [])
        given = entry.inputs
        by_name = spec.by_name
        for name, value in given.items():
            declared = by_name.get(name) or spec.open_inputs
            if declared is None:
                if self.native:
                    self._unknown_input(node_id, spec, name)
                continue
            if value.__class__ is Link:
                arguments.pop(name, None)
                links.add(node, declared, name, value, -1)
                if name in view.late:
                    node.late = True
            elif value.__class__ is list and any(item.__class__ is Link for item in value):  # type: ignore[attr-defined]
                self._gather(node, declared, name, value, links)
            elif value.__class__ is Constant:
                arguments[name] = value
            else:
                checked = self.rules.check(declared, value)
                if checked.__class__ is Fault:
                    self._fault(node_id, name, checked)
                    arguments.pop(name, None)
                else:
                    arguments[name] = checked
        for name in view.required:
            if name not in given:
                self._missing(node_id, spec.by_name[name])
        if spec.check is not None:
            self._custom_check(node)
        if "width" in arguments or "batch_size" in arguments or "steps" in arguments:
            self._check_budgets(node)
        return node

    def _gather(
        self, node: CheckedNode, declared: InputSpec, name: str, value: object, links: LinkChecker
    ) -> None:
        assert isinstance(value, list)
        if not declared.gather:
            self.problems.add(
                "bad-link",
                f"'{name}' takes one value, not a list; link one output.",
                node=node.id,
                input=name,
                pointer=self._at(node.id, name),
            )
            return
        places: list[object] = []
        for place, item in enumerate(value):
            if item.__class__ is Link:
                links.add(node, declared, name, item, place)
                places.append(None)
                continue
            checked = self.rules.check(declared, [item])
            if isinstance(checked, Fault):
                self._fault(node.id, name, checked)
            else:
                places.extend(checked)  # type: ignore[arg-type]
        node.arguments[name] = places

    def _at(self, node_id: str, name: str) -> str:
        return pointer(*self.prefix, node_id, "inputs", name)

    def _unknown_input(self, node_id: str, spec: NodeSpec, name: str) -> None:
        near = get_close_matches(name, list(spec.by_name), n=1)
        known = ", ".join(spec.by_name) or "none"
        hint = f"; did you mean '{near[0]}'?" if near else f"; it takes: {known}."
        self.problems.add(
            "unknown-input",
            f"{spec.name} has no input '{name[:80]}'{hint}",
            node=node_id,
            input=name[:80],
            pointer=self._at(node_id, name),
            expected=known,
            got=name[:80],
            nearest=near[0] if near else None,
        )

    def _missing(self, node_id: str, declared: InputSpec) -> None:
        self.problems.add(
            "missing-input",
            f"The input '{declared.name}' is missing; give it {'a value' if declared.is_widget else 'a link'}"
            f" of type {declared.comfy_type}.",
            node=node_id,
            input=declared.name,
            pointer=pointer(*self.prefix, node_id, "inputs"),
            expected=declared.comfy_type,
        )

    def _fault(self, node_id: str, name: str, fault: object) -> None:
        assert isinstance(fault, Fault)
        self.problems.add(
            fault.code,
            fault.message,
            node=node_id,
            input=name,
            pointer=self._at(node_id, name),
            expected=fault.expected,
            got=fault.got,
            nearest=fault.nearest,
        )

    def _custom_check(self, node: CheckedNode) -> None:
        check = node.spec.check
        assert check is not None
        names = check.__code__.co_varnames[: check.__code__.co_argcount]
        if not all(name in node.arguments for name in names):
            return
        sentence = check(**{name: node.arguments[name] for name in names})
        if sentence:
            self.problems.add("bad-combination", sentence, node=node.id, pointer=pointer(*self.prefix, node.id))

    def _check_budgets(self, node: CheckedNode) -> None:
        amounts: dict[str, float] = {}
        for name, value in node.arguments.items():
            declared = node.spec.by_name.get(name)
            role = declared.range.role if declared is not None and declared.range is not None else None
            if role is not None and isinstance(value, (int, float)):
                amounts[role] = value
        pixels = amounts.get("width", 0) * amounts.get("height", 0) * amounts.get("batch", 1)
        limits = self.limits
        for what, asked, allowed in (
            ("pixels", pixels, limits.pixels),
            ("steps", amounts.get("steps", 0), limits.steps),
            ("pictures in a batch", amounts.get("batch", 0), limits.batch),
        ):
            if asked > allowed:
                self.problems.add(
                    "over-budget",
                    f"The node asks for {asked:.0f} {what}, and the limit is {allowed}.",
                    node=node.id,
                    pointer=pointer(*self.prefix, node.id, "inputs"),
                    expected=f"<= {allowed}",
                    got=f"{asked:.0f}",
                )

    def _check_declared_inputs(self) -> None:
        for name, declared in self.workflow.inputs.items():
            for target in declared.targets:
                entry = self.workflow.nodes.get(target.node)
                spec = self.registry.get(entry.type) if entry is not None else None
                if entry is None or (spec is not None and spec.input(target.input) is None):
                    what = f"'{target.node}.{target.input}'" if entry is not None else f"the node '{target.node}'"
                    self.problems.add(
                        "bad-workflow-input",
                        f"The declared input '{name}' points at {what}, which does not exist.",
                        pointer=pointer("inputs", name),
                        got=f"{target.node}.{target.input}",
                    )

    def _roots(
        self, targets: Collection[str] | None, position: Mapping[str, int], nodes: list[CheckedNode]
    ) -> list[int]:
        outputs = self.workflow.outputs
        if targets is None:
            wanted = [index for index, node in enumerate(nodes) if node.spec.output]
            wanted += [position[link.node] for link in outputs.values() if link.node in position]
            if not wanted and self.outer is None and not self.problems.items:
                self.problems.add(
                    "no-outputs",
                    "The workflow has no output node and declares no outputs; add one (SaveImage, say).",
                    pointer=pointer(*self.prefix),
                )
            return list(dict.fromkeys(wanted))
        wanted = []
        for name in targets:
            node_id = outputs[name].node if name in outputs else name
            if node_id in position:
                wanted.append(position[node_id])
            elif node_id not in self.workflow.nodes:
                near = get_close_matches(str(name), [*outputs, *self.workflow.nodes], n=1)
                self.problems.add(
                    "unknown-target",
                    f"There is no node or declared output '{str(name)[:80]}' to run for.",
                    got=str(name)[:80],
                    nearest=near[0] if near else None,
                )
        if not wanted and not self.problems.items:
            self.problems.add("no-outputs", "No targets were named; name at least one node or output.")
        return list(dict.fromkeys(wanted))

    def _ordered(
        self,
        nodes: list[CheckedNode],
        position: Mapping[str, int],
        roots: list[int],
        links: LinkChecker,
    ) -> CheckedGraph | None:
        sources = [[link.source for link in node.links if link.source >= 0] for node in nodes]
        order = depth_first_order(sources, [*roots, *range(len(nodes))])
        place = [0] * len(nodes)
        for rank, index in enumerate(order):
            place[index] = rank
        if any(place[source] >= place[index] for index, feeding in enumerate(sources) for source in feeding):
            self._report_cycles(sources, nodes)
            return None
        ordered = [nodes[index] for index in order]
        for node in ordered:
            for link in node.links:
                if link.source >= 0:
                    link.source = place[link.source]
        types = links.check_types(ordered)
        self._spread_lateness(ordered)
        outputs: dict[str, OutputPlace] = {}
        for name, link_out in self.workflow.outputs.items():
            found = links.find_output(link_out, pointer("outputs", name), None, None)
            if found is not None and link_out.node in position:
                outputs[name] = OutputPlace(place[position[link_out.node]], found)
        if self.problems.items:
            return None
        return CheckedGraph(
            nodes=ordered,
            index={node.id: rank for rank, node in enumerate(ordered)},
            targets=tuple(place[root] for root in roots),
            outputs=outputs,
            workflow=self.workflow,
            dialect=self.workflow.dialect,
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
                pointer=pointer(*self.prefix, names[0]),
                got=shown,
            )

    @staticmethod
    def _spread_lateness(ordered: list[CheckedNode]) -> None:
        for node in ordered:
            if not node.late and any(link.source >= 0 and ordered[link.source].late for link in node.links):
                node.late = True


def _view(spec: NodeSpec) -> _SpecView:
    late: set[str] = {declared.name for declared in spec.inputs if declared.file is not None}
    if spec.fingerprint is not None:
        code = spec.fingerprint.__code__
        late.update(code.co_varnames[: code.co_argcount + code.co_kwonlyargcount])
        if code.co_flags & 0x08:
            late.update(spec.by_name)
    return _SpecView(
        spec=spec,
        defaults={
            declared.name: [] if declared.gather and declared.default is None else _settled(declared)
            for declared in spec.inputs
            if not declared.required
        },
        required=tuple(declared.name for declared in spec.inputs if declared.required),
        late=frozenset(late),
    )


def _settled(declared: InputSpec) -> object:
    if declared.default is MISSING:
        return None
    if declared.type.name == "FLOAT" and type(declared.default) is int and not declared.gather:
        return float(declared.default)
    return declared.default


__all__ = ["CheckedLink", "check_workflow", "validate"]
