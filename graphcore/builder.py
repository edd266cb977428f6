"""Builds workflows in Python, checked as they are written.

g = Graph(registry)
checkpoint = g.LoadCheckpoint(ckpt_name="scenes-v1.safetensors")
sampler = g.KSampler(model=checkpoint.model, seed=7, …)
g.SaveImage(images=g.VAEDecode(samples=sampler, vae=checkpoint.vae))
workflow = g.workflow()
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from graphcore.errors import InputError
from graphcore.registry import Registry
from graphcore.sockets import SocketType
from graphcore.spec import NodeSpec
from graphcore.workflow import InputTarget, Link, NodeEntry, Workflow, WorkflowInput


class Output:
    """An output of a node in a graph being built; give it as an input of another."""

    __slots__ = ("graph", "link", "type")

    def __init__(self, graph: Graph, link: Link, kind: SocketType) -> None:
        self.graph = graph
        self.link = link
        self.type = kind

    def __repr__(self) -> str:
        return f"Output({self.link.node}.{self.link.output}: {self.type})"


class NodeHandle:
    """A node of a graph being built. Its outputs are attributes; with a single output it stands for it."""

    def __init__(self, graph: Graph, node_id: str, spec: NodeSpec) -> None:
        self._graph = graph
        self._id = node_id
        self._spec = spec

    @property
    def id(self) -> str:
        """The node's id in the workflow."""
        return self._id

    def __getattr__(self, name: str) -> Output:
        if name.startswith("_"):
            raise AttributeError(name)
        index = self._spec.output_index.get(name)
        if index is None:
            known = ", ".join(self._spec.output_index) or "none"
            near = get_close_matches(name, list(self._spec.output_index), n=1)
            hint = f"; did you mean '{near[0]}'?" if near else f"; it has: {known}."
            raise AttributeError(f"{self._spec.name} has no output '{name}'{hint}")
        return self[index]

    def __getitem__(self, index: int) -> Output:
        output = self._spec.outputs[index]
        return Output(self._graph, Link(self._id, output.name), output.type)

    def __iter__(self) -> Iterator[Output]:
        return (self[index] for index in range(len(self._spec.outputs)))

    def __dir__(self) -> list[str]:
        return ["id", *self._spec.output_index]

    def __repr__(self) -> str:
        return f"<{self._spec.name} '{self._id}'>"


class Graph:
    """A workflow being built. Node types are methods: `g.KSampler(...)`; `node_id=` names a node."""

    def __init__(self, registry: Registry, *, title: str = "", description: str = "") -> None:
        self._registry = registry
        self._title = title
        self._description = description
        self._nodes: dict[str, NodeEntry] = {}
        self._inputs: dict[str, WorkflowInput] = {}
        self._outputs: dict[str, Link] = {}

    def __getattr__(self, name: str) -> Callable[..., NodeHandle]:
        if name.startswith("_"):
            raise AttributeError(name)
        spec = self._registry.get(name)
        if spec is None:
            near = self._registry.nearest(name)
            hint = f"; did you mean '{near}'?" if near else "."
            raise AttributeError(f"there is no node type '{name}'{hint}")

        def add(
            given: Mapping[str, Any] | None = None,
            /,
            *,
            node_id: str | None = None,
            title: str = "",
            **inputs: Any,
        ) -> NodeHandle:
            return self.add(name, given, node_id=node_id, title=title, **inputs)

        return add

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._registry.comfy_names()]

    def add(
        self,
        type_name: str,
        given: Mapping[str, Any] | None = None,
        /,
        *,
        node_id: str | None = None,
        title: str = "",
        **inputs: Any,
    ) -> NodeHandle:
        """Add a node; raises InputError for an unknown type or input, or a node that is taken for a value.

        `given` holds inputs whose names cannot be keywords here ("title", "a.b").
        """
        inputs = {**(given or {}), **inputs}
        spec = self._registry.get(type_name)
        if spec is None:
            near = self._registry.nearest(type_name)
            hint = f"; did you mean '{near}'?" if near else "."
            raise InputError(f"There is no node type '{type_name}'{hint}", code="unknown-node-type")
        named = node_id or self._free_id(spec.name)
        if named in self._nodes:
            raise InputError(f"The node id '{named}' is taken; choose another.", code="bad-node-id")
        for name in inputs:
            if spec.input(name) is None:
                near_input = get_close_matches(name, list(spec.by_name), n=1)
                hint = (
                    f"; did you mean '{near_input[0]}'?"
                    if near_input
                    else f"; it takes: {', '.join(spec.by_name)}."
                )
                raise InputError(
                    f"{spec.name} has no input '{name}'{hint}", code="unknown-input", location=named
                )
        entry = {name: self._value(named, name, value) for name, value in inputs.items()}
        self._nodes[named] = NodeEntry(type=spec.name, inputs=entry, title=title)
        return NodeHandle(self, named, spec)

    def _value(self, node_id: str, name: str, value: Any) -> object:
        if isinstance(value, Output):
            if not self._owns(value.graph):
                raise _foreign(value, node_id)
            return value.link
        if isinstance(value, NodeHandle):
            if not self._owns(value._graph):
                raise _foreign(value, node_id)
            outputs = list(value)
            if len(outputs) != 1:
                names = ", ".join(f".{output.link.output}" for output in outputs) or "none"
                raise InputError(
                    f"{value!r} has {len(outputs)} outputs; name the one for '{name}': {names}.",
                    code="unknown-link-output",
                    location=node_id,
                )
            return outputs[0].link
        if isinstance(value, (list, tuple)):
            return [self._value(node_id, name, item) for item in value]
        return value

    def _owns(self, graph: Graph) -> bool:
        return graph._nodes is self._nodes

    def input(
        self, name: str, *targets: tuple[NodeHandle, str], title: str = "", description: str = ""
    ) -> None:
        """Declare an input of the workflow: `g.input("seed", (sampler, "seed"))`."""
        for handle, input_name in targets:
            if not self._owns(handle._graph):
                raise _foreign(handle, name)
            if handle._spec.input(input_name) is None:
                known = ", ".join(handle._spec.by_name) or "none"
                raise InputError(
                    f"{handle!r} has no input '{input_name}' to declare; it takes: {known}.",
                    code="unknown-input",
                    location=handle.id,
                )
        self._inputs[name] = WorkflowInput(
            targets=tuple(InputTarget(handle.id, input_name) for handle, input_name in targets),
            title=title,
            description=description,
        )

    def output(self, name: str, value: Output | NodeHandle) -> None:
        """Declare an output of the workflow."""
        link = self._value(name, name, value)
        if not isinstance(link, Link):
            raise InputError(
                f"The output '{name}' of a workflow is an output of a node, not a {type(value).__name__}; name one.",
                code="bad-workflow-output",
            )
        self._outputs[name] = link

    def workflow(self) -> Workflow:
        """The workflow as built so far."""
        return Workflow(
            nodes=dict(self._nodes),
            inputs=dict(self._inputs),
            outputs=dict(self._outputs),
            title=self._title,
            description=self._description,
        )

    def _free_id(self, type_name: str) -> str:
        base = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", type_name).lower()
        base = re.sub(r"[^a-z0-9_-]", "_", base)[:56] or "node"
        if base not in self._nodes:
            return base
        number = 2
        while f"{base}_{number}" in self._nodes:
            number += 1
        return f"{base}_{number}"


def _foreign(value: Output | NodeHandle, location: str) -> InputError:
    return InputError(
        f"{value!r} belongs to another graph; add its node to this one.",
        code="foreign-node",
        location=location,
    )
