"""The native workflow format, read and written.

    {"graphcore": 1,
     "nodes": {"sampler": {"type": "KSampler", "inputs": {"model": {"node": "checkpoint", "output": "model"},
                                                          "steps": 20}}},
     "inputs": {"steps": {"node": "sampler", "input": "steps"}},
     "outputs": {"image": {"node": "decode", "output": "image"}}}

A link is an object with `node` and, where the node has several outputs, `output`. `{"value": …}` holds a literal
object.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from graphcore.errors import DocumentError, ProblemList
from graphcore.jsontext import JSON, shown
from graphcore.pointers import pointer
from graphcore.workflow import UNREADABLE, Dialect, InputTarget, Link, NodeEntry, Workflow, WorkflowInput

FORMAT_VERSION: Final = 1
_NODE_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}\Z")
_TOP: Final = frozenset({"graphcore", "$schema", "title", "description", "nodes", "inputs", "outputs", "ui"})
_ENTRY: Final = frozenset({"type", "inputs", "title"})
_INPUT: Final = frozenset({"node", "input", "also", "title", "description"})


def read_native(document: Mapping[str, JSON]) -> Workflow:
    """Read a native document; raises DocumentError if its version or its nodes are not there."""
    version = document.get("graphcore")
    if version != FORMAT_VERSION or isinstance(version, bool):
        raise DocumentError(
            f"The document's format is {shown(version)}, and this version reads format {FORMAT_VERSION}.",
            code="unknown-format-version",
            pointer="/graphcore",
        )
    nodes = document.get("nodes")
    if not isinstance(nodes, dict):
        raise DocumentError(
            "The document has no 'nodes' object; add one.", code="missing-nodes", pointer="/nodes"
        )
    return _Reader(document).read(nodes)


class _Reader:
    def __init__(self, document: Mapping[str, JSON]) -> None:
        self.document = document
        self.problems = ProblemList()

    def read(self, nodes: Mapping[str, JSON]) -> Workflow:
        for name in self.document:
            if name not in _TOP:
                self.problems.add(
                    "unknown-field",
                    f"A workflow has no field {shown(name)}; remove it.",
                    pointer=pointer(name),
                    got=name[:80],
                )
        entries = {}
        for node_id, entry in nodes.items():
            read = self._entry(node_id, entry)
            if read is not None:
                entries[node_id] = read
        return Workflow(
            nodes=entries,
            inputs=self._inputs(),
            outputs=self._outputs(),
            title=self._text("title"),
            description=self._text("description"),
            ui=self.document.get("ui"),
            dialect=Dialect.NATIVE,
            problems=tuple(self.problems.items),
        )

    def _text(self, name: str) -> str:
        value = self.document.get(name, "")
        if isinstance(value, str):
            return value
        self.problems.add(
            "wrong-type",
            f"'{name}' must be text.",
            pointer=pointer(name),
            expected="text",
            got=type(value).__name__,
        )
        return ""

    def _section(self, name: str) -> Mapping[str, JSON]:
        value = self.document.get(name, {})
        if isinstance(value, dict):
            return value
        self.problems.add(
            "wrong-type", f"'{name}' must be an object.", pointer=pointer(name), expected="object"
        )
        return {}

    def _entry(self, node_id: str, entry: JSON) -> NodeEntry | None:
        where = pointer("nodes", node_id)
        if not _NODE_ID.match(node_id):
            self.problems.add(
                "bad-node-id",
                f"The node id {node_id[:80]!r} is not valid; use 1 to 64 letters, digits, '_' and '-'.",
                node=node_id[:80],
                pointer=where,
                got=node_id[:80],
            )
            return None
        if not isinstance(entry, dict):
            self.problems.add(
                "bad-node", "A node must be an object.", node=node_id, pointer=where, expected="object"
            )
            return None
        for name in entry:
            if name not in _ENTRY:
                self.problems.add(
                    "unknown-field",
                    f"A node has no field {shown(name)}; its values belong into 'inputs'.",
                    node=node_id,
                    pointer=f"{where}{pointer(name)}",
                    got=name[:80],
                )
        kind, inputs, title = entry.get("type"), entry.get("inputs", {}), entry.get("title", "")
        if not isinstance(kind, str):
            self.problems.add(
                "missing-type",
                "A node must name its type.",
                node=node_id,
                pointer=f"{where}/type",
                expected="text",
            )
            return None
        if not isinstance(inputs, dict):
            self.problems.add(
                "bad-node",
                "'inputs' must be an object.",
                node=node_id,
                pointer=f"{where}/inputs",
                expected="object",
            )
            return None
        read = {}
        for name, value in inputs.items():
            if isinstance(value, (dict, list)):
                value = self._value(node_id, f"{where}/inputs{pointer(name)}", value)  # type: ignore[assignment]
            read[name] = value
        return NodeEntry(type=kind, inputs=read, title=title if isinstance(title, str) else "")

    def _value(self, node_id: str, where: str, value: JSON) -> object:
        if isinstance(value, list):
            return [
                self._value(node_id, f"{where}/{index}", item) if isinstance(item, (dict, list)) else item
                for index, item in enumerate(value)
            ]
        if not isinstance(value, dict):
            return value
        if len(value) == 1 and "value" in value:
            return value["value"]
        link = read_link(value)
        if link is None:
            self.problems.add(
                "bad-link",
                'An object here must be a link, {"node": "id", "output": "name"}, or a literal, {"value": …}.',
                node=node_id,
                pointer=where,
                expected="link",
                got=", ".join(sorted(value))[:80],
            )
            return UNREADABLE
        return link

    def _inputs(self) -> dict[str, WorkflowInput]:
        declared = {}
        for name, value in self._section("inputs").items():
            where = pointer("inputs", name)
            if not _NAME.match(name):
                self.problems.add(
                    "bad-name", f"The input name {name[:80]!r} is not an identifier.", pointer=where
                )
                continue
            targets = self._input_targets(value)
            if targets is None or not isinstance(value, dict) or not _INPUT.issuperset(value):
                self.problems.add(
                    "bad-workflow-input",
                    f"The input '{name}' must be an object with 'node' and 'input' "
                    "(and 'also', 'title', 'description').",
                    pointer=where,
                )
                continue
            declared[name] = WorkflowInput(
                targets=targets,
                title=str(value.get("title", "")),
                description=str(value.get("description", "")),
            )
        return declared

    def _input_targets(self, value: JSON) -> tuple[InputTarget, ...] | None:
        if not isinstance(value, dict):
            return None
        more = value.get("also", [])
        if not isinstance(more, list):
            return None
        targets = []
        for item in (value, *more):
            if not isinstance(item, dict):
                return None
            node, name = item.get("node"), item.get("input")
            if not isinstance(node, str) or not isinstance(name, str):
                return None
            targets.append(InputTarget(node, name))
        return tuple(targets)

    def _outputs(self) -> dict[str, Link]:
        declared = {}
        for name, value in self._section("outputs").items():
            link = read_link(value) if isinstance(value, dict) else None
            if link is None or not _NAME.match(name):
                self.problems.add(
                    "bad-workflow-output",
                    f"The output '{name[:80]}' must be a link to a node's output.",
                    pointer=pointer("outputs", name),
                )
                continue
            declared[name] = link
        return declared


def read_link(value: Mapping[str, JSON]) -> Link | None:
    """The link that an object stands for, or None."""
    node = value.get("node")
    if not isinstance(node, str):
        return None
    if len(value) == 1:
        return Link(node)
    output = value.get("output")
    return Link(node, output) if isinstance(output, str) and len(value) == 2 else None


def write_native(workflow: Workflow, *, schema: str | None = None) -> dict[str, JSON]:
    """Write a workflow as a native document; reading it back gives an equal workflow."""
    document: dict[str, JSON] = {}
    if schema is not None:
        document["$schema"] = schema
    document["graphcore"] = FORMAT_VERSION
    for name, text in (("title", workflow.title), ("description", workflow.description)):
        if text:
            document[name] = text
    nodes: dict[str, JSON] = {}
    for node_id, entry in workflow.nodes.items():
        written: dict[str, JSON] = {"type": entry.type}
        if entry.title:
            written["title"] = entry.title
        written["inputs"] = {name: _written(value) for name, value in entry.inputs.items()}
        nodes[node_id] = written
    document["nodes"] = nodes
    if workflow.inputs:
        document["inputs"] = {name: _written_input(declared) for name, declared in workflow.inputs.items()}
    if workflow.outputs:
        document["outputs"] = {name: _written(link) for name, link in workflow.outputs.items()}
    if workflow.ui is not None:
        document["ui"] = workflow.ui  # type: ignore[assignment]
    return document


def _written(value: object) -> JSON:
    if isinstance(value, Link):
        return {"node": value.node} if value.output == 0 else {"node": value.node, "output": value.output}
    if isinstance(value, dict):
        return {"value": value}
    if isinstance(value, (list, tuple)):
        return [_written(item) for item in value]
    return value  # type: ignore[return-value]


def _written_input(declared: WorkflowInput) -> JSON:
    first, *more = declared.targets
    written: dict[str, JSON] = {"node": first.node, "input": first.input}
    if more:
        written["also"] = [{"node": target.node, "input": target.input} for target in more]
    if declared.title:
        written["title"] = declared.title
    if declared.description:
        written["description"] = declared.description
    return written
