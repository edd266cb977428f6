"""Checks nodes one by one: their types are known, and their inputs are there and fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from graphcore.budgets import excesses
from graphcore.checked import CheckedNode
from graphcore.dynamic_inputs import missing
from graphcore.foreign import Examined
from graphcore.links import LinkChecker
from graphcore.lists import Constant
from graphcore.literals import Fault
from graphcore.spec import InputSpec, NodeSpec
from graphcore.validation_pass import ValidationPass
from graphcore.views import SpecView, view_of
from graphcore.workflow import UNREADABLE, Link, NodeEntry


class NodeChecker:
    """Makes checked nodes of a document's entries, and reports what is wrong with them."""

    def __init__(self, scope: ValidationPass, links: LinkChecker) -> None:
        self.scope = scope
        self.links = links
        self.native = scope.native
        self.problems = scope.problems
        self.rules = scope.rules
        self._views: dict[str, SpecView] = {}

    def view(self, node_id: str, entry: NodeEntry) -> SpecView | None:
        """The type of an entry, or None (and a problem) if it is not known."""
        return self._views.get(entry.type) or self._find(node_id, entry.type)

    def _find(self, node_id: str, name: str) -> SpecView | None:
        spec = self.scope.registry.get(name)
        if spec is not None:
            if self.scope.outer is None and spec.foreign is not None and spec.foreign.fresh is not None:
                spec = spec.foreign.fresh()
            view = self._views[name] = view_of(spec, len(self._views), self.rules)
            return view
        near = self.scope.hints.nearest(name, self.scope.registry.names())
        hint = f"; did you mean '{near}'?" if near else "; install the pack that has it."
        self.problems.add(
            "unknown-node-type",
            f"There is no node type '{name[:80]}'{hint}",
            node=node_id,
            pointer=self.scope.at(node_id, "type" if self.native else "class_type"),
            expected="a known node type",
            got=name[:80],
            nearest=near,
        )
        return None

    def node(self, node_id: str, entry: NodeEntry, view: SpecView) -> CheckedNode:
        """An entry as a node, with what fits of its inputs."""
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
                pointer=self.scope.at_input(node.id, name),
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

    def _unknown_input(self, node_id: str, spec: NodeSpec, name: str) -> None:
        near = self.scope.hints.nearest(name, spec.by_name)
        known = ", ".join(spec.by_name) or "none"
        hint = f"; did you mean '{near}'?" if near else f"; it takes: {known}."
        self.problems.add(
            "unknown-input",
            f"{spec.name} has no input '{name[:80]}'{hint}",
            node=node_id,
            input=name[:80],
            pointer=self.scope.at_input(node_id, name),
            expected=known,
            got=name[:80],
            nearest=near,
        )

    def _require(self, node_id: str, view: SpecView, given: Mapping[str, object]) -> None:
        """Find the inputs that must be there and are not; nodes of packs look at their own in expansions."""
        foreign = view.spec.foreign
        if foreign is not None and self.scope.outer is not None:
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
            pointer=self.scope.at(node_id, "inputs"),
            expected=declared.comfy_type,
        )

    def _fault(self, node_id: str, declared: InputSpec, name: str, fault: object, place: int = -1) -> None:
        assert isinstance(fault, Fault)
        if declared.secret:
            sentence = f"The value of the secret input '{name}' does not fit; give another."
            fault = Fault(code=fault.code, message=sentence, expected=fault.expected)
        where = self.scope.at_input(node_id, name)
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
            self.problems.add("bad-combination", sentence, node=node.id, pointer=self.scope.at(node.id))

    def examine(self, nodes: Sequence[CheckedNode]) -> None:
        """Ask the nodes of packs what they have against their inputs; in expansions, nobody does."""
        faulty = {problem.node for problem in self.problems.items}
        for node in nodes:
            foreign = node.spec.foreign
            if (
                self.scope.outer is not None
                or foreign is None
                or foreign.examine is None
                or node.id in faulty
            ):
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
                    pointer=self.scope.at_input(node.id, objection.input)
                    if objection.input
                    else self.scope.at(node.id),
                    got=objection.text,
                )

    def _check_budgets(self, node: CheckedNode) -> None:
        for excess in excesses(node.spec, node.arguments, self.scope.limits):
            self.problems.add(
                "over-budget",
                excess.sentence,
                node=node.id,
                pointer=self.scope.at(node.id, "inputs"),
                expected=f"<= {excess.allowed}",
                got=f"{excess.asked:.0f}",
            )
