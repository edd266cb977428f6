"""Total validation: one pass over a document finds every problem in it, in linear time, without recursion."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from graphcore.budgets import excesses
from graphcore.checked import CheckedGraph, CheckedNode, OutputPlace
from graphcore.collection import collection_paused
from graphcore.dynamic_inputs import missing
from graphcore.errors import Problem, ProblemList, ValidationError
from graphcore.files import Files
from graphcore.foreign import Examined
from graphcore.growing import gathered
from graphcore.limits import Limits
from graphcore.links import LinkChecker, OuterNode
from graphcore.lists import Constant
from graphcore.literals import Fault, LiteralRules
from graphcore.nearest import Suggestions
from graphcore.pointers import pointer
from graphcore.registry import Registry
from graphcore.spec import InputSpec, NodeSpec
from graphcore.topology import DepthFirstOrder, cycles
from graphcore.views import SpecView, view_of
from graphcore.workflow import UNREADABLE, Dialect, Link, NodeEntry, Workflow


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
        self.workflow = workflow = gathered(workflow, registry)
        self.registry = registry
        self.limits = limits
        self.outer = outer
        self.native = workflow.dialect is Dialect.NATIVE
        self.hints = Suggestions()
        self.rules = LiteralRules(dialect=workflow.dialect, files=files, limits=limits, hints=self.hints)
        self.problems = ProblemList(list(workflow.problems))
        self.prefix = ("nodes",) if self.native else ()
        self.links = LinkChecker(workflow, self.problems, self.hints, native=self.native, outer=outer)
        self._views: dict[str, SpecView | None] = {}

    def check(self, targets: Collection[str] | None) -> CheckedGraph | None:
        """Check everything; None if the problems leave nothing that could run."""
        entries = self.workflow.nodes
        if len(entries) > self.limits.nodes:
            self._over_budget("nodes", len(entries), self.limits.nodes)
            return None
        position, views = self.links.position, self.links.views
        known: list[tuple[str, NodeEntry]] = []
        for node_id, entry in entries.items():
            view = self._views.get(entry.type) or self._view(node_id, entry)
            if view is not None:
                position[node_id] = len(views)
                views.append(view)
                known.append((node_id, entry))
        nodes = [
            self._node(node_id, entry, view) for (node_id, entry), view in zip(known, views, strict=True)
        ]
        if self.links.count > self.limits.links:
            self._over_budget("links", self.links.count, self.limits.links)
        self._check_declared_inputs()
        outputs = self._outputs()
        return self._ordered(nodes, self._roots(targets, nodes), outputs)

    def _over_budget(self, what: str, count: int, limit: int) -> None:
        self.problems.add(
            "over-budget",
            f"The workflow has {count} {what}, and the limit is {limit}; split it.",
            pointer=pointer(*self.prefix),
            expected=f"<= {limit}",
            got=str(count),
        )

    def _view(self, node_id: str, entry: NodeEntry) -> SpecView | None:
        name = entry.type
        spec = self.registry.get(name)
        if spec is not None:
            if self.outer is None and spec.foreign is not None and spec.foreign.fresh is not None:
                spec = spec.foreign.fresh()
            view = self._views[name] = view_of(spec, len(self._views), self.rules)
            return view
        near = self.hints.nearest(name, self.registry.names())
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
        return None

    def _node(self, node_id: str, entry: NodeEntry, view: SpecView) -> CheckedNode:
        spec = view.spec
        arguments = view.defaults.copy()
        node = CheckedNode(node_id, spec, arguments, [])
        given = entry.inputs
        by_name, checks = view.by_name, view.checks
        for name, value in given.items():
            declared = by_name.get(name) or (view.open_inputs if spec.foreign is None else spec.input(name))
            kind = value.__class__
            if declared is None or (kind is not Link and name not in by_name and not declared.is_open):
                if self.native:
                    self._unknown_input(node_id, spec, name)
                continue
            if kind is Link:
                arguments.pop(name, None)
                self.links.connect(node, view, declared, name, value, -1)  # type: ignore[arg-type]
                if name in view.late:
                    node.late = True
            elif kind is list and any(item.__class__ is Link for item in value):  # type: ignore[attr-defined]
                self._gather(node, view, declared, name, value)  # type: ignore[arg-type]
            elif kind is Constant:
                arguments[name] = value
                node.constants = True
            elif value is not UNREADABLE:
                rule = checks.get(name)
                checked = rule(declared, value) if rule is not None else self.rules.check(declared, value)
                if checked.__class__ is Fault:
                    self._fault(node_id, declared, name, checked)
                    arguments.pop(name, None)
                else:
                    arguments[name] = checked
        self._require(node_id, view, given)
        if spec.check is not None:
            self._custom_check(node)
        if spec.budgeted_inputs:
            self._check_budgets(node)
        return node

    def _gather(
        self, node: CheckedNode, view: SpecView, declared: InputSpec, name: str, value: list[object]
    ) -> None:
        if not declared.gather:
            self.problems.add(
                "bad-link",
                f"'{name}' takes one value, not a list; link one output.",
                node=node.id,
                input=name,
                pointer=self._at(node.id, name),
                expected="one link",
                got=f"a list of {len(value)}",
            )
            return
        if name in view.late:
            node.late = True
        places: list[object] = []
        for place, item in enumerate(value):
            if isinstance(item, Link):
                self.links.connect(node, view, declared, name, item, place)
                places.append(None)
                continue
            checked = self.rules.check(declared, [item])
            if isinstance(checked, Fault):
                self._fault(node.id, declared, name, checked, place)
            else:
                places.extend(checked)  # type: ignore[arg-type]
        node.arguments[name] = places

    def _at(self, node_id: str, name: str) -> str:
        return pointer(*self.prefix, node_id, "inputs", name)

    def _unknown_input(self, node_id: str, spec: NodeSpec, name: str) -> None:
        near = self.hints.nearest(name, spec.by_name)
        known = ", ".join(spec.by_name) or "none"
        hint = f"; did you mean '{near}'?" if near else f"; it takes: {known}."
        self.problems.add(
            "unknown-input",
            f"{spec.name} has no input '{name[:80]}'{hint}",
            node=node_id,
            input=name[:80],
            pointer=self._at(node_id, name),
            expected=known,
            got=name[:80],
            nearest=near,
        )

    def _require(self, node_id: str, view: SpecView, given: Mapping[str, object]) -> None:
        """Find the inputs that must be there and are not; nodes of packs look at their own in expansions."""
        foreign = view.spec.foreign
        if foreign is not None and self.outer is not None:
            return
        for name in view.required:
            if name not in given:
                self._missing(node_id, view.by_name[name])
        for name in missing(foreign.info["input"], given) if foreign is not None else ():
            declared = view.spec.input(name)
            assert declared is not None
            self._missing(node_id, declared)

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

    def _fault(self, node_id: str, declared: InputSpec, name: str, fault: object, place: int = -1) -> None:
        assert isinstance(fault, Fault)
        if declared.secret:
            sentence = f"The value of the secret input '{name}' does not fit; give another."
            fault = Fault(code=fault.code, message=sentence, expected=fault.expected)
        where = self._at(node_id, name)
        self.problems.add(
            fault.code,
            fault.message,
            node=node_id,
            input=name,
            pointer=where if place < 0 else f"{where}/{place}",
            expected=fault.expected,
            got=fault.got,
            nearest=fault.nearest,
        )

    def _custom_check(self, node: CheckedNode) -> None:
        check = node.spec.check
        assert check is not None
        names = node.spec.named_by(check)
        if any(name not in node.arguments or isinstance(node.arguments[name], Constant) for name in names):
            return
        try:
            sentence = check(**{name: node.arguments[name] for name in names})
        except Exception as error:  # noqa: BLE001 (a check is somebody else's code)
            sentence = (
                f"The check of {node.spec.name} failed on these values ({type(error).__name__}: {error})."
            )
        if sentence:
            self.problems.add(
                "bad-combination", sentence, node=node.id, pointer=pointer(*self.prefix, node.id)
            )

    def _examine(self, nodes: list[CheckedNode]) -> None:
        """Ask the nodes of packs what they have against their inputs; in expansions, nobody does."""
        faulty = {problem.node for problem in self.problems.items}
        for node in nodes:
            foreign = node.spec.foreign
            if self.outer is not None or foreign is None or foreign.examine is None or node.id in faulty:
                continue
            received = {
                link.input: (nodes[link.source].spec.name, link.output)
                for link in node.links
                if link.source >= 0
            }
            for objection in foreign.examine(
                Examined(node=node.id, values=dict(node.arguments), received=received)
            ):
                where = f"'{objection.input}'" if objection.input else "its inputs"
                reason = f": {objection.text}" if objection.text is not None else "; change it"
                self.problems.add(
                    "refused-by-node" if objection.input else "node-check-failed",
                    f"{node.spec.name} does not accept {where}{reason}.",
                    node=node.id,
                    input=objection.input or None,
                    pointer=self._at(node.id, objection.input)
                    if objection.input
                    else pointer(*self.prefix, node.id),
                    got=objection.text,
                )

    def _check_budgets(self, node: CheckedNode) -> None:
        for excess in excesses(node.spec, node.arguments, self.limits):
            self.problems.add(
                "over-budget",
                excess.sentence,
                node=node.id,
                pointer=pointer(*self.prefix, node.id, "inputs"),
                expected=f"<= {excess.allowed}",
                got=f"{excess.asked:.0f}",
            )

    def _check_declared_inputs(self) -> None:
        for name, declared in self.workflow.inputs.items():
            for target in declared.targets:
                entry = self.workflow.nodes.get(target.node)
                spec = self.registry.get(entry.type) if entry is not None else None
                if entry is None or (spec is not None and spec.input(target.input) is None):
                    what = (
                        f"'{target.node}.{target.input}'"
                        if entry is not None
                        else f"the node '{target.node}'"
                    )
                    self.problems.add(
                        "bad-workflow-input",
                        f"The declared input '{name}' points at {what}, which does not exist.",
                        pointer=pointer("inputs", name),
                        got=f"{target.node}.{target.input}",
                    )

    def _outputs(self) -> dict[str, OutputPlace]:
        """The declared outputs, by the index of their node in the document."""
        found: dict[str, OutputPlace] = {}
        for name, link in self.workflow.outputs.items():
            output = self.links.find_output(link, pointer("outputs", name), None, None)
            if output is not None:
                found[name] = OutputPlace(self.links.position[link.node], output)
        return found

    def _roots(self, targets: Collection[str] | None, nodes: list[CheckedNode]) -> list[int]:
        outputs, position = self.workflow.outputs, self.links.position
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
        for name in [targets] if isinstance(targets, str) else map(str, targets):
            node_id = outputs[name].node if name in outputs else name
            if node_id in position:
                wanted.append(position[node_id])
            elif node_id not in self.workflow.nodes:
                near = self.hints.nearest(name, [*outputs, *self.workflow.nodes])
                hint = f"; did you mean '{near}'?" if near else "; name one that the workflow has."
                self.problems.add(
                    "unknown-target",
                    f"There is no node or declared output '{name[:80]}' to run for{hint}",
                    got=name[:80],
                    nearest=near,
                )
        if not wanted and not self.problems.items:
            self.problems.add("no-outputs", "No targets were named; name at least one node or output.")
        return list(dict.fromkeys(wanted))

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
        self._examine(nodes)
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
