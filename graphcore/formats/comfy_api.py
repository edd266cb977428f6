"""ComfyUI's API prompt, read and written: `{id: {class_type, inputs, _meta}}`, links as `[id, index]`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from graphcore.errors import ProblemList
from graphcore.growing import grown_names
from graphcore.jsontext import JSON, shown
from graphcore.pointers import pointer
from graphcore.registry import Registry
from graphcore.spec import InputSpec
from graphcore.workflow import UNREADABLE, Dialect, Link, NodeEntry, Workflow

_MAX_ID: Final = 256


def looks_like_prompt(document: Mapping[str, JSON]) -> bool:
    """True if a JSON object has the shape of an API prompt."""
    entries = [entry for entry in document.values() if isinstance(entry, dict)]
    return bool(entries) and any("class_type" in entry for entry in entries)


def read_prompt(document: Mapping[str, JSON]) -> Workflow:
    """Read an API prompt. Faults of structure are kept in `problems`."""
    problems = ProblemList()
    nodes: dict[str, NodeEntry] = {}
    for node_id, entry in document.items():
        read = _entry(node_id, entry, problems)
        if read is not None:
            nodes[node_id] = read
    return Workflow(nodes=nodes, dialect=Dialect.COMFY, problems=tuple(problems.items))


def _entry(node_id: str, entry: JSON, problems: ProblemList) -> NodeEntry | None:
    where = pointer(node_id)
    if not node_id or len(node_id) > _MAX_ID or not node_id.isprintable():
        problems.add(
            "bad-node-id",
            f"The node id {node_id[:80]!r} is not valid; use 1 to {_MAX_ID} printable characters.",
            node=node_id[:80],
            pointer=where,
        )
        return None
    if not isinstance(entry, dict):
        problems.add("bad-node", "A node must be an object.", node=node_id, pointer=where, expected="object")
        return None
    kind, inputs, meta = entry.get("class_type"), entry.get("inputs", {}), entry.get("_meta")
    if not isinstance(kind, str):
        problems.add(
            "missing-type",
            f"Node '{node_id}' has no class_type; name its class.",
            node=node_id,
            pointer=f"{where}/class_type",
            expected="text",
        )
        return None
    if not isinstance(inputs, dict):
        problems.add(
            "bad-node",
            "'inputs' must be an object.",
            node=node_id,
            pointer=f"{where}/inputs",
            expected="object",
        )
        return None
    title = meta.get("title", "") if isinstance(meta, dict) else ""
    return NodeEntry(
        type=kind,
        inputs={
            name: _value(node_id, f"{where}/inputs{pointer(name)}", value, problems)
            if isinstance(value, (list, dict))
            else value
            for name, value in inputs.items()
        },
        title=title if isinstance(title, str) and title != kind else "",
    )


def _value(node_id: str, where: str, value: JSON, problems: ProblemList) -> object:
    if isinstance(value, dict):
        return value.get("__value__", value)
    if isinstance(value, list):
        if len(value) == 2:
            source, index = value
            plain_index = type(index) is int or (isinstance(index, float) and index.is_integer())
            if isinstance(source, (str, int)) and not isinstance(source, bool) and plain_index:
                return Link(str(source), int(index))  # type: ignore[arg-type]
        problems.add(
            "bad-link",
            'A link must be a list of a node id and an output index; wrap a constant list as {"__value__": […]}.',
            node=node_id,
            input=where.rsplit("/", 1)[1],
            pointer=where,
            expected="[node id, output index]",
            got=shown(value),
        )
        return UNREADABLE
    return value


def write_prompt(workflow: Workflow, registry: Registry) -> dict[str, JSON]:
    """Write a workflow as an API prompt, with ComfyUI's class names.

    The items of a list that gathers links become inputs of their own. Inputs that the registry does not know stay as
    they are.
    """
    prompt: dict[str, JSON] = {}
    for node_id, entry in workflow.nodes.items():
        spec = registry.get(entry.type)
        inputs: dict[str, JSON] = {}
        for name, value in entry.inputs.items():
            declared = spec.input(name) if spec is not None else None
            if declared is not None and declared.gather and _gathers(value):
                items = [_written(item, workflow, registry, None) for item in value]  # type: ignore[attr-defined]
                inputs.update(zip(grown_names(name, len(items)), items, strict=True))
            else:
                inputs[name] = _written(value, workflow, registry, declared)
        kind = entry.type
        if spec is not None and entry.type == spec.name and spec.aliases:
            kind = spec.aliases[0]
        prompt[node_id] = {"inputs": inputs, "class_type": kind, "_meta": {"title": entry.title or kind}}
    return prompt


def _gathers(value: object) -> bool:
    return isinstance(value, list) and len(value) > 1 and any(isinstance(item, Link) for item in value)


def _written(value: object, workflow: Workflow, registry: Registry, declared: InputSpec | None) -> JSON:
    if isinstance(value, Link):
        return [value.node, _index(value, workflow, registry)]
    if isinstance(value, (list, tuple)):
        if declared is not None and declared.gather and len(value) == 1:
            return _written(value[0], workflow, registry, None)
        return {"__value__": [_written(item, workflow, registry, None) for item in value]}
    if isinstance(value, dict):
        return {"__value__": value}
    return value  # type: ignore[return-value]


def _index(link: Link, workflow: Workflow, registry: Registry) -> int:
    if isinstance(link.output, int):
        return link.output
    entry = workflow.nodes.get(link.node)
    spec = registry.get(entry.type) if entry is not None else None
    return spec.output_index.get(link.output, 0) if spec is not None else 0
