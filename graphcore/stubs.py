"""Writes a typed stub (`.pyi`) of the builder: editors complete node names, inputs and outputs, and check links."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable, Iterator
from typing import Final

from graphcore.registry import Registry
from graphcore.sockets import SocketType
from graphcore.spec import InputSpec, NodeSpec, OutputSpec

_PYTHON_TYPES: Final = {"INT": "int", "FLOAT": "float", "STRING": "str", "COMBO": "str", "BOOLEAN": "bool"}
_NODE_WORDS: Final = frozenset({"node_id", "title", "self"})
_GRAPH_WORDS: Final = frozenset({"add", "input", "output", "workflow"})

_HEAD: Final = '''\
"""The builder with the node types that were installed when `graphcore stubs` wrote this file."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Generic, Literal, TypeVar

from graphcore.registry import Registry
from graphcore.workflow import Workflow

_T_co = TypeVar("_T_co", covariant=True)

class Output(Generic[_T_co]):
    """An output of a node in a graph being built; give it as an input of another."""

class NodeHandle:
    """A node of a graph being built. Its outputs are attributes; with a single output it stands for it."""

    @property
    def id(self) -> str: ...
    def __getitem__(self, index: int) -> Output[Any]: ...
    def __iter__(self) -> Iterator[Output[Any]]: ...

class SingleOutput(NodeHandle, Output[_T_co]):
    """A node with one output."""
'''
_GRAPH: Final = '''\
class Graph:
    """A workflow being built. Node types are methods: `g.KSampler(...)`; `node_id=` names a node."""

    def __init__(self, registry: Registry, *, title: str = "", description: str = "") -> None: ...
    def add(
        self,
        type_name: str,
        given: Mapping[str, Any] | None = None,
        /,
        *,
        node_id: str | None = None,
        title: str = "",
        **inputs: Any,
    ) -> NodeHandle: ...
    def input(
        self, name: str, *targets: tuple[NodeHandle, str], title: str = "", description: str = ""
    ) -> None: ...
    def output(self, name: str, value: Output[Any] | NodeHandle) -> None: ...
    def workflow(self) -> Workflow: ...
'''


def builder_stub(registry: Registry) -> str:
    """The stub of `graphcore.builder` for these node types, with a method for each name that is an identifier."""
    writer = _Writer(registry)
    names = [(name, spec) for name, spec in registry.comfy_names().items() if _is_name(name)]
    specs = {spec.name: spec for _, spec in names}
    parts = [_HEAD, *writer.sockets(), *(writer.handle(spec) for spec in specs.values()), _GRAPH]
    methods = [writer.method(name, spec) for name, spec in names if name not in _GRAPH_WORDS]
    return "\n".join(parts) + "".join(methods)


class _Writer:
    def __init__(self, registry: Registry) -> None:
        kinds = {kind.name: kind for spec in registry for kind in _kinds(spec) if not kind.is_any}
        self.kinds = {name: kind for name, kind in kinds.items() if "," not in name}
        self.marks = _marks(self.kinds)

    def sockets(self) -> Iterator[str]:
        """A marker class for each type of socket."""
        for name, mark in self.marks.items():
            yield f"class {mark}:\n    {_docstring(f'What travels on {name} sockets.')}\n"

    def handle(self, spec: NodeSpec) -> str:
        """The class of a node's handle, with its outputs."""
        if len(spec.outputs) == 1:
            base = f"SingleOutput[{self._mark(spec.outputs[0].type)}]"
        else:
            base = "NodeHandle"
        lines = [f"class {_handle(spec)}({base}):"]
        outputs = [output for output in spec.outputs if _is_name(output.name) and output.name != "id"]
        lines += [
            f"    @property\n    def {output.name}(self) -> {self._output(output)}: ..." for output in outputs
        ]
        return "\n".join(lines if outputs else [f"{lines[0]} ..."]) + "\n"

    def method(self, name: str, spec: NodeSpec) -> str:
        """The method of the graph that adds a node."""
        declared = [entry for entry in spec.inputs if _is_name(entry.name) and entry.name not in _NODE_WORDS]
        given = ["        given: Mapping[str, Any] | None = None,", "        /,"]
        lines = [
            f"    def {name}(",
            "        self,",
            *(given if len(declared) < len(spec.inputs) or spec.open_inputs is not None else ()),
            "        *,",
        ]
        for entry in (*_only(declared, required=True), *_only(declared, required=False)):
            default = "" if entry.required else " = ..."
            lines.append(f"        {entry.name}: {self._input(entry)}{default},")
        lines += ["        node_id: str | None = None,", '        title: str = "",']
        if spec.open_inputs is not None:
            lines.append(f"        **more: {self._input(spec.open_inputs)},")
        lines.append(f"    ) -> {_handle(spec)}:")
        lines.append(f"        {_docstring(spec.description or spec.title or spec.name)}")
        return "\n".join(lines) + "\n"

    def _output(self, output: OutputSpec) -> str:
        return f"Output[{self._mark(output.type)}]"

    def _mark(self, kind: SocketType) -> str:
        if kind.is_any:
            return "Any"
        if "," in kind.name:
            return " | ".join(
                self.marks[name.strip()] for name in kind.name.split(",") if name.strip() in self.marks
            )
        return self.marks[kind.name]

    def _input(self, declared: InputSpec) -> str:
        plain = list(self._plain(declared))
        single = [*plain, f"Output[{self._accepted(declared.type)}]"]
        forms = [*single, f"Sequence[{' | '.join(single)}]"] if declared.gather else single
        if declared.default is None or declared.optional:
            forms.append("None")
        return " | ".join(forms)

    def _plain(self, declared: InputSpec) -> Iterator[str]:
        if declared.choices is not None:
            yield f"Literal[{', '.join(_choice(choice) for choice in declared.choices)}]"
        elif declared.file is not None:
            yield "str"
        elif declared.type.name in _PYTHON_TYPES:
            yield _PYTHON_TYPES[declared.type.name]
        elif "," in declared.type.name:
            yield "bool | float | str"

    def _accepted(self, kind: SocketType) -> str:
        if kind.is_any:
            return "Any"
        fitting = [self.marks[name] for name, other in self.kinds.items() if kind.accepts(other)]
        return " | ".join(fitting) or "Any"


def _kinds(spec: NodeSpec) -> Iterator[SocketType]:
    for declared in (*spec.inputs, *([spec.open_inputs] if spec.open_inputs is not None else [])):
        yield declared.type
    for output in spec.outputs:
        yield output.type


def _marks(kinds: Iterable[str]) -> dict[str, str]:
    marks: dict[str, str] = {}
    for name in sorted(kinds):
        base = re.sub(r"\W", "_", name, flags=re.ASCII)
        base = base if base.isidentifier() and base not in ("Any", "Graph", "Output") else f"Socket_{base}"
        while base in marks.values():
            base += "_"
        marks[name] = base
    return marks


def _only(declared: Iterable[InputSpec], *, required: bool) -> list[InputSpec]:
    return [entry for entry in declared if entry.required is required]


def _handle(spec: NodeSpec) -> str:
    return f"_{spec.name}"


def _choice(choice: object) -> str:
    return repr(choice) if isinstance(choice, (str, int, bool)) else "Any"


def _is_name(name: str) -> bool:
    return (
        name.isidentifier() and name.isascii() and not keyword.iskeyword(name) and not name.startswith("__")
    )


def _docstring(text: str) -> str:
    safe = text.replace("\\", "\\\\").replace('"""', "'''").replace("\n", "\n        ")
    return f'"""{safe}"""' if not safe.endswith('"') else f'"""{safe} """'
