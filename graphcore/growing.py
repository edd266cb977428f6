"""Inputs that take a list, in ComfyUI's prompts: one input for each item, as `images.image0`, `images.image1` ..."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from graphcore.registry import Registry
from graphcore.spec import InputSpec, NodeSpec
from graphcore.workflow import UNREADABLE, Dialect, NodeEntry, Workflow


def item_name(name: str) -> str:
    """What one item of a list is called: `image` for `images`."""
    return name[:-1] if len(name) > 1 and name.endswith("s") else name


def grown_names(name: str, count: int) -> list[str]:
    """The names of so many items of an input."""
    return [f"{name}.{item_name(name)}{place}" for place in range(count)]


def list_input(spec: NodeSpec, name: str) -> InputSpec | None:
    """The input of whose items `name` names one, or None."""
    base, dot, _ = name.partition(".")
    declared = spec.by_name.get(base) if dot and name not in spec.by_name else None
    return declared if declared is not None and declared.gather else None


def gathered(workflow: Workflow, registry: Registry) -> Workflow:
    """The same workflow, with the items of each list in one input, in the order of their numbers."""
    if workflow.dialect is not Dialect.COMFY:
        return workflow
    changed: dict[str, NodeEntry] = {}
    for node_id, entry in workflow.nodes.items():
        if not any("." in name for name in entry.inputs):
            continue
        spec = registry.get(entry.type)
        if spec is not None and spec.gathering_inputs:
            changed[node_id] = replace(entry, inputs=_gathered(entry.inputs, spec))
    return replace(workflow, nodes={**workflow.nodes, **changed}) if changed else workflow


def _gathered(inputs: Mapping[str, object], spec: NodeSpec) -> dict[str, object]:
    kept: dict[str, object] = {}
    lists: dict[str, list[tuple[int, object]]] = {}
    for name, value in inputs.items():
        declared = list_input(spec, name)
        if declared is None:
            kept[name] = value
        else:
            lists.setdefault(declared.name, []).append((_number(name), value))
    for name, items in lists.items():
        values = [value for _, value in sorted(items, key=lambda item: item[0])]
        if name in kept:
            before = kept[name]
            values = [*before, *values] if isinstance(before, list) else [before, *values]
        unreadable = any(value is UNREADABLE for value in values)
        kept[name] = UNREADABLE if unreadable else values
    return kept


def _number(name: str) -> int:
    digits = name[len(name.rstrip("0123456789")) :]
    return int(digits) if 0 < len(digits) < 10 else -1
