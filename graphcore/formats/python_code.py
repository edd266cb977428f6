"""Writes a workflow as a Python script that builds the same graph, with the same keys."""

from __future__ import annotations

import builtins
import json
import keyword
import re
from typing import Final

from graphcore.builder import Graph, NodeHandle
from graphcore.checked import CheckedGraph, CheckedLink, CheckedNode
from graphcore.formats.as_native import checked_as_written, given_inputs, native_ids
from graphcore.registry import Registry
from graphcore.workflow import Workflow

_WIDTH: Final = 100
_RESERVED: Final = frozenset(
    {"g", "registry", "Graph", "Engine", "Registry", "Workflow", *dir(builtins), *keyword.kwlist}
)
_NODE_WORDS: Final = frozenset({"node_id", "title"})

_HEAD: Final = '''\
"""{title}"""

from graphcore import Engine, Graph, Registry, Workflow


def build(registry: Registry) -> Workflow:
    """Build the workflow."""
    g = Graph(registry{settings})
'''
_TAIL: Final = """\
    return g.workflow()


if __name__ == "__main__":
    with Engine() as engine:
        engine.run(build(engine.registry))
"""


def write_python(workflow: Workflow, registry: Registry) -> str:
    """The workflow as a Python script; raises ValidationError if it is not valid. Model files need not be there."""
    return _Writer(checked_as_written(workflow, registry)).script()


class _Writer:
    def __init__(self, graph: CheckedGraph) -> None:
        self.graph = graph
        self.workflow = graph.workflow
        self.ids = native_ids(self.workflow.nodes)
        self.variables = self._variables()

    def _variables(self) -> dict[str, str]:
        taken: set[str] = set()
        variables: dict[str, str] = {}
        for node in self.graph.nodes:
            base = re.sub(r"\W", "_", self.ids[node.id], flags=re.ASCII)
            if not base.isidentifier():
                base = f"{_snake_case(node.spec.name)}_{base}"
            elif base in _RESERVED:
                base = f"{base}_"
            name, number = base, 2
            while name in taken:
                name, number = f"{base}_{number}", number + 1
            taken.add(name)
            variables[node.id] = name
        return variables

    def script(self) -> str:
        settings = "".join(
            f", {name}={_literal(text)}"
            for name, text in (("title", self.workflow.title), ("description", self.workflow.description))
            if text
        )
        title = self.workflow.title or "A workflow of graphcore."
        lines = [_HEAD.format(title=_in_docstring(title), settings=settings).rstrip("\n")]
        lines.extend(self._node(node) for node in self.graph.nodes)
        lines.extend(self._declared_inputs())
        for name, place in self.graph.outputs.items():
            lines.append(f"    g.output({_literal(name)}, {self._output(place.node, place.output)})")
        return "\n".join(lines) + "\n" + _TAIL

    def _node(self, node: CheckedNode) -> str:
        arguments = [f"node_id={_literal(self.ids[node.id])}"]
        title = self.workflow.nodes[node.id].title
        if title:
            arguments.append(f"title={_literal(title)}")
        others: dict[str, str] = {}
        for name, value in given_inputs(self.graph, node).items():
            if _is_name(name) and name not in _NODE_WORDS:
                arguments.append(f"{name}={self._value(value)}")
            else:
                others[name] = self._value(value)
        if others:
            arguments.insert(
                0, "{" + ", ".join(f"{_literal(name)}: {value}" for name, value in others.items()) + "}"
            )
        call = f"g.{node.spec.name}("
        if not _is_attribute(node.spec.name) or hasattr(Graph, node.spec.name):
            call = f"g.add({_literal(node.spec.name)}, "
        return _call(f"{self.variables[node.id]} = {call}", arguments)

    def _value(self, value: object) -> str:
        if isinstance(value, CheckedLink):
            return self._output(value.source, value.output)
        if isinstance(value, list):
            return "[" + ", ".join(self._value(item) for item in value) + "]"
        return _literal(value)

    def _output(self, source: int, output: int) -> str:
        node = self.graph.nodes[source]
        variable = self.variables[node.id]
        if len(node.spec.outputs) == 1:
            return variable
        name = node.spec.outputs[output].name
        plain = _is_attribute(name) and not hasattr(NodeHandle, name)
        return f"{variable}.{name}" if plain else f"{variable}[{output}]"

    def _declared_inputs(self) -> list[str]:
        lines = []
        for name, declared in self.workflow.inputs.items():
            arguments = [_literal(name)]
            arguments += [
                f"({self.variables[target.node]}, {_literal(target.input)})" for target in declared.targets
            ]
            for word, text in (("title", declared.title), ("description", declared.description)):
                if text:
                    arguments.append(f"{word}={_literal(text)}")
            lines.append(_call("g.input(", arguments))
        return lines


def _call(start: str, arguments: list[str]) -> str:
    line = f"    {start}{', '.join(arguments)})"
    if len(line) <= _WIDTH:
        return line
    head = start
    rest = arguments
    if start.endswith(", "):
        head, _, first = start.partition("g.add(")
        head, rest = f"{head}g.add(", [first.removesuffix(", "), *arguments]
    return "\n".join([f"    {head}", *(f"        {argument}," for argument in rest), "    )"])


def _literal(value: object) -> str:
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, list):
        return "[" + ", ".join(map(_literal, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_literal(name)}: {_literal(item)}" for name, item in value.items()) + "}"
    return repr(value)


def _is_name(name: str) -> bool:
    return name.isidentifier() and name.isascii() and not keyword.iskeyword(name)


def _is_attribute(name: str) -> bool:
    return _is_name(name) and not name.startswith("_")


def _snake_case(name: str) -> str:
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name)
    plain = re.sub(r"\W", "_", spaced, flags=re.ASCII).lower().strip("_")
    return plain if plain[:1].isalpha() else f"node_{plain}"


def _in_docstring(text: str) -> str:
    safe = text.replace("\\", "\\\\").replace('"', "'")
    return " ".join(safe.split())
