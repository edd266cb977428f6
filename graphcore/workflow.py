"""The workflow document: nodes, links, declared inputs and outputs. Data only; formats read and write it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Final

from graphcore.errors import Problem, ValidationError

UNREADABLE: Final = object()


class Dialect(Enum):
    """Whose rules a document follows.

    NATIVE is strict. COMFY has ComfyUI's conversions ("20" is an INT) and ignores undeclared inputs.
    """

    NATIVE = "native"
    COMFY = "comfy"


@dataclass(frozen=True, slots=True)
class Link:
    """A reference to another node's output, by name, or by index as ComfyUI's prompts do."""

    node: str
    output: str | int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeEntry:
    """One node of a document: its type and its inputs.

    An input is plain JSON, a Link, or a list of both for inputs that gather.
    """

    type: str
    inputs: Mapping[str, object] = field(default_factory=dict)
    title: str = ""


@dataclass(frozen=True, slots=True)
class InputTarget:
    """Where a declared input goes: an input of a node."""

    node: str
    input: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowInput:
    """A named parameter of a workflow; the values in the document are its default."""

    targets: tuple[InputTarget, ...]
    title: str = ""
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workflow:
    """A workflow document.

    `problems` are faults of structure found while it was read; validation reports them with its own. An input whose
    value could not be read holds UNREADABLE.
    `ui` is kept as it is and means nothing to the engine.
    """

    nodes: Mapping[str, NodeEntry]
    inputs: Mapping[str, WorkflowInput] = field(default_factory=dict)
    outputs: Mapping[str, Link] = field(default_factory=dict)
    title: str = ""
    description: str = ""
    ui: object = None
    dialect: Dialect = Dialect.NATIVE
    problems: tuple[Problem, ...] = ()

    def with_inputs(self, values: Mapping[str, object]) -> Workflow:
        """The workflow with some of its inputs set.

        A name is a declared input, or `node.input` for any input of any node. Raises ValidationError that lists every
        unknown name.
        """
        if not values:
            return self
        changed: dict[str, dict[str, object]] = {}
        problems: list[Problem] = []
        for name, value in values.items():
            targets = self.targets_of(name)
            if targets is None:
                problems.append(self._unknown_input(name))
                continue
            for target in targets:
                changed.setdefault(target.node, {})[target.input] = value
        if problems:
            raise ValidationError(problems)
        nodes = dict(self.nodes)
        for node_id, inputs in changed.items():
            entry = nodes.get(node_id)
            if entry is not None:
                nodes[node_id] = replace(entry, inputs={**entry.inputs, **inputs})
        return replace(self, nodes=nodes)

    def input_values(self) -> dict[str, object]:
        """The present value of each declared input."""
        values: dict[str, object] = {}
        for name, declared in self.inputs.items():
            for target in declared.targets[:1]:
                entry = self.nodes.get(target.node)
                values[name] = entry.inputs.get(target.input) if entry is not None else None
        return values

    def targets_of(self, name: str) -> tuple[InputTarget, ...] | None:
        """The inputs that a declared name, or `node.input`, stands for; None if it is unknown."""
        declared = self.inputs.get(name)
        if declared is not None:
            return declared.targets
        node_id, dot, input_name = name.partition(".")
        while dot:
            if node_id in self.nodes:
                return (InputTarget(node_id, input_name),)
            more, dot, input_name = input_name.partition(".")
            node_id = f"{node_id}.{more}"
        return None

    def _unknown_input(self, name: str) -> Problem:
        from difflib import get_close_matches

        near = get_close_matches(name, list(self.inputs), n=1)
        known = ", ".join(self.inputs) or "none"
        return Problem(
            code="unknown-workflow-input",
            message=f"The workflow has no input '{name}'; it declares: {known} (or use 'node.input').",
            pointer="/inputs",
            got=name,
            nearest=near[0] if near else None,
        )
