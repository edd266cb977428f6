"""A workflow as people see it: a form of its inputs, a drawing of its nodes, and what is wrong with it, in words."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Final

from graphcore.errors import ValidationError
from graphcore.formats.comfy_api import write_prompt
from graphcore.formats.native import write_native
from graphcore.jsontext import shown
from graphcore.workflow import UNREADABLE, Dialect, InputTarget, Workflow
from server.api.models import ProblemModel
from server.checking import Rules
from server.page.fields import Choices, field_of, words
from server.page.literals import LAST, NodeValue, has_link, links_of, node_values
from server.page.models import FieldModel, GraphLinkModel, GraphNodeModel, GroupModel, SheetModel

_FEW: Final = 12
_MANY: Final = 60
_DRAWN: Final = 2000
_VALUE_LENGTH: Final = 200


def sheet_of(workflow: Workflow, rules: Rules, inputs: Mapping[str, object] | None = None) -> SheetModel:
    """A workflow, with some of its inputs set, as people see it; raises ValidationError for unknown inputs."""
    filled = workflow.with_inputs(inputs or {})
    return _Sheet(filled, rules).make()


def document_of(workflow: Workflow, rules: Rules) -> str:
    """A workflow's JSON: native if it was that, else ComfyUI's prompt."""
    native = workflow.dialect is Dialect.NATIVE
    document = write_native(workflow) if native else write_prompt(workflow, rules.registry)
    return json.dumps(document, ensure_ascii=False)


class _Sheet:
    def __init__(self, workflow: Workflow, rules: Rules) -> None:
        self._workflow = workflow
        self._rules = rules
        self._choices = Choices(rules.files)
        self._values = node_values(workflow, rules.registry)
        self._small = len(workflow.nodes) <= _DRAWN

    def make(self) -> SheetModel:
        fields = self._declared() or self._leading()
        return SheetModel(
            title=self._workflow.title,
            description=self._workflow.description,
            document=None if self._workflow.problems else document_of(self._workflow, self._rules),
            fields=fields,
            more=self._others(fields) if self._small else [],
            choices=self._choices.lists,
            size=len(self._workflow.nodes),
            nodes=[self._node(node_id) for node_id in self._workflow.nodes] if self._small else [],
            links=self._links() if self._small else [],
            problems=self._problems(),
        )

    def _problems(self) -> list[ProblemModel]:
        try:
            self._rules.check(self._workflow)
        except ValidationError as error:
            return [ProblemModel.model_validate(problem.as_json()) for problem in error.problems]
        return []

    def _declared(self) -> list[FieldModel]:
        found = []
        for name, declared in self._workflow.inputs.items():
            first = next(iter(declared.targets), None)
            entry = self._workflow.nodes.get(first.node) if first is not None else None
            if first is None or entry is None:
                continue
            spec = self._rules.registry.get(entry.type)
            asked = spec.input(first.input) if spec is not None else None
            value = entry.inputs.get(first.input, asked.default if asked is not None else None)
            if value is UNREADABLE or has_link(value):
                continue
            title = declared.title or words(name)
            found.append(
                field_of(name, title, declared.description, declared.targets, value, asked, self._choices)
            )
        return found

    def _leading(self) -> list[FieldModel]:
        """What people ask for first, where a workflow does not declare it."""
        chosen = sorted((value for value in self._values if value.rank < LAST), key=lambda value: value.rank)
        return self._fields(chosen[:_MANY] or self._values[:_FEW])

    def _others(self, fields: Iterable[FieldModel]) -> list[GroupModel]:
        asked = {(target.node, target.input) for field in fields for target in field.targets}
        left: dict[str, list[NodeValue]] = {}
        for value in self._values:
            if (value.node, value.input.name) not in asked:
                left.setdefault(value.node, []).append(value)
        return [
            GroupModel(node=node, title=self._title(node), fields=self._fields(values, grouped=True))
            for node, values in left.items()
        ]

    def _fields(self, values: Iterable[NodeValue], *, grouped: bool = False) -> list[FieldModel]:
        labelled = [(value, self._label(value)) for value in values]
        labels = [label for _, label in labelled]
        return [
            field_of(
                f"{value.node}.{value.input.name}",
                label
                if grouped or labels.count(label) == 1
                else f"{label} ({self._title(value.node)}, {value.node})",
                "",
                [InputTarget(value.node, value.input.name)],
                value.value,
                value.input,
                self._choices,
            )
            for value, label in labelled
        ]

    def _label(self, value: NodeValue) -> str:
        if value.input.text is not None and value.input.text.multiline and value.side:
            return "Prompt" if value.side == "positive" else "Negative prompt"
        return value.input.shown.title or words(value.input.name)

    def _title(self, node_id: str) -> str:
        entry = self._workflow.nodes[node_id]
        spec = self._rules.registry.get(entry.type)
        return entry.title or (spec.title if spec is not None else "") or entry.type

    def _node(self, node_id: str) -> GraphNodeModel:
        entry = self._workflow.nodes[node_id]
        spec = self._rules.registry.get(entry.type)
        secret = {declared.name for declared in spec.inputs if declared.secret} if spec is not None else set()
        return GraphNodeModel(
            id=node_id,
            type=entry.type,
            title=self._title(node_id),
            category=spec.category if spec is not None else "",
            description=spec.description if spec is not None else "",
            known=spec is not None,
            output=spec.output if spec is not None else False,
            values={
                name: _brief(value)
                for name, value in entry.inputs.items()
                if value is not UNREADABLE and not has_link(value) and name not in secret
            },
        )

    def _links(self) -> list[GraphLinkModel]:
        return [
            self._link(node_id, name, link.node, link.output)
            for node_id, entry in self._workflow.nodes.items()
            for name, value in entry.inputs.items()
            for link in links_of(value)
        ]

    def _link(self, target: str, name: str, source: str, output: str | int) -> GraphLinkModel:
        entry = self._workflow.nodes.get(source)
        spec = self._rules.registry.get(entry.type) if entry is not None else None
        label, kind = str(output), ""
        if spec is not None:
            place = output if isinstance(output, int) else spec.output_index.get(output, -1)
            if 0 <= place < len(spec.outputs):
                label, kind = spec.outputs[place].name, spec.outputs[place].type.name
        return GraphLinkModel(source=source, output=label, target=target, input=name, kind=kind)


def _brief(value: object) -> str:
    text = value if isinstance(value, str) else shown(value)
    return text if len(text) <= _VALUE_LENGTH else f"{text[:_VALUE_LENGTH]}…"
