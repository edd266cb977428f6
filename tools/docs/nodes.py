"""The node reference, from the registry."""

from __future__ import annotations

import json
from collections.abc import Iterator

from graphcore.registry import Registry
from graphcore.spec import MISSING, InputSpec, NodeSpec

_HEAD = """\
# The nodes

Every node that comes along, by category. `graphcore nodes NAME` prints the same in a terminal. Where ComfyUI has the
node under another name, that name stands behind it and may be used in its place.
"""
_MAX_CHOICES = 12


def node_page(registry: Registry) -> str:
    """The text of docs/nodes.md."""
    by_category: dict[str, list[NodeSpec]] = {}
    for spec in registry:
        by_category.setdefault(spec.category or "other", []).append(spec)
    parts = [_HEAD]
    for category, specs in sorted(by_category.items()):
        parts.append(f"## {category}\n")
        parts.extend(_node(spec) for spec in specs)
    return "\n".join(parts)


def _node(spec: NodeSpec) -> str:
    also = f" ({', '.join(f'`{alias}`' for alias in spec.aliases)})" if spec.aliases else ""
    lines = [f"### `{spec.name}`{also}", ""]
    if spec.description:
        lines += [spec.description, ""]
    if spec.inputs:
        lines += ["| input | type | |", "| --- | --- | --- |"]
        lines += [
            f"| `{entry.name}` | {_cell(entry.comfy_type)} | {_cell('; '.join(_about(entry)))} |"
            for entry in spec.inputs
        ]
        lines.append("")
    outputs = ", ".join(f"`{output.name}` ({output.type.name})" for output in spec.outputs) or "none"
    return "\n".join([*lines, f"Outputs: {outputs}", ""])


def _about(declared: InputSpec) -> Iterator[str]:
    if declared.choices is not None:
        shown = [f"`{choice}`" for choice in declared.choices[:_MAX_CHOICES]]
        more = len(declared.choices) - len(shown)
        yield ", ".join(shown) + (f" and {more} more" if more > 0 else "")
    if declared.file is not None:
        yield f"a file of `{declared.file.kind}`"
    if declared.range is not None:
        low, high = declared.range.minimum, declared.range.maximum
        if low is not None and high is not None:
            yield f"{low} to {high}"
        elif low is not None:
            yield f"at least {low}"
        elif high is not None:
            yield f"at most {high}"
    if declared.gather:
        yield "one link or value, or a list of them"
    if declared.required:
        yield "required"
    elif declared.default is not MISSING and declared.default is not None:
        yield f"default `{json.dumps(declared.default, ensure_ascii=False)}`"
    else:
        yield "optional"
    if declared.shown.tooltip:
        yield declared.shown.tooltip


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
