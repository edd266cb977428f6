"""`graphcore nodes`: the node types that are installed, and what each takes and gives."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import click

from graphcore.cli.failures import telling_errors
from graphcore.cli.options import installed_nodes, json_option, node_pack_option
from graphcore.errors import GraphcoreError, InputError, ResourceError
from graphcore.formats.object_info import node_info
from graphcore.jsontext import JSON
from graphcore.registry import Registry
from graphcore.spec import MISSING, InputSpec, NodeSpec


@click.command()
@click.argument("name", required=False)
@node_pack_option
@json_option
@telling_errors
def nodes(*, name: str | None, node_packs: tuple[Path, ...], as_json: bool) -> None:
    """List the installed nodes, or describe the node called NAME.

    NAME may be a ComfyUI class; where no node has it, nodes whose names or descriptions contain it are listed.
    """
    registry = installed_nodes(node_packs)
    spec = registry.get(name) if name is not None else None
    if spec is not None:
        click.echo(_json(node_as_json(spec)) if as_json else "\n".join(_described(spec)))
        return
    found = [spec for spec in registry if name is None or _matches(spec, name)]
    if not found:
        raise _unknown(name, registry)
    click.echo(_json([node_as_json(spec) for spec in found]) if as_json else "\n".join(_listed(found)))


def node_as_json(spec: NodeSpec) -> dict[str, JSON]:
    """A node type as JSON: its names, and its description in ComfyUI's form under `object_info`."""
    return {
        "name": spec.name,
        "comfy_names": list(spec.aliases),
        "category": spec.category,
        "description": spec.description,
        "inputs": [_input_as_json(declared) for declared in spec.inputs],
        "outputs": [
            {"name": output.name, "type": output.type.name, "each": output.each} for output in spec.outputs
        ],
        "output_node": spec.output,
        "version": spec.version,
        "deprecated": spec.deprecated,
        "object_info": node_info(spec),
    }


def _input_as_json(declared: InputSpec) -> JSON:
    entry: dict[str, JSON] = {
        "name": declared.name,
        "type": declared.comfy_type,
        "required": declared.required,
    }
    if declared.default is not MISSING:
        entry["default"] = declared.default  # type: ignore[assignment]
    if declared.choices is not None:
        entry["choices"] = list(declared.choices)  # type: ignore[arg-type]
    if declared.file is not None:
        entry["files"] = declared.file.kind
    if declared.range is not None:
        entry["minimum"], entry["maximum"] = declared.range.minimum, declared.range.maximum
    for word in ("gather", "lazy"):
        if getattr(declared, word):
            entry[word] = True
    return entry


def _matches(spec: NodeSpec, text: str) -> bool:
    wanted = text.lower()
    return any(wanted in entry.lower() for entry in (spec.name, *spec.aliases, spec.title, spec.description))


def _listed(specs: Iterable[NodeSpec]) -> list[str]:
    lines: list[str] = []
    by_category: dict[str, list[NodeSpec]] = {}
    for spec in specs:
        by_category.setdefault(spec.category or "other", []).append(spec)
    for category, members in sorted(by_category.items()):
        lines += [*([""] if lines else []), click.style(category, bold=True)]
        width = max(len(spec.name) for spec in members)
        for spec in members:
            also = f" ({', '.join(spec.aliases)})" if spec.aliases else ""
            sentence = spec.description.split("\n", 1)[0]
            lines.append(f"  {spec.name:<{width}}  {sentence}{click.style(also, dim=True)}")
    return lines


def _described(spec: NodeSpec) -> list[str]:
    lines = [click.style(spec.name, bold=True) + (f"  ({', '.join(spec.aliases)})" if spec.aliases else "")]
    if spec.description:
        lines += [spec.description]
    marks = [word for word, is_so in (("output node", spec.output), ("deprecated", spec.deprecated)) if is_so]
    lines += [click.style(", ".join([spec.category or "no category", *marks]), dim=True), "", "Inputs"]
    rows = [(declared.name, declared.comfy_type, _about(declared)) for declared in spec.inputs]
    lines += _columns(rows) or ["  none"]
    lines += ["", "Outputs"]
    lines += _columns([(output.name, output.type.name, output.tooltip) for output in spec.outputs]) or [
        "  none"
    ]
    return lines


def _about(declared: InputSpec) -> str:
    parts: list[str] = []
    if declared.choices is not None:
        parts.append(" | ".join(str(choice) for choice in declared.choices))
    if declared.file is not None:
        parts.append(f"a file of {declared.file.kind}")
    if declared.range is not None:
        low, high = declared.range.minimum, declared.range.maximum
        parts.append(f"{'' if low is None else low} to {'' if high is None else high}")
    if declared.gather:
        parts.append("a list")
    if declared.required:
        parts.append("required")
    elif declared.default is not MISSING and declared.default is not None:
        parts.append(f"default {json.dumps(declared.default, ensure_ascii=False)}")
    else:
        parts.append("optional")
    if declared.shown.tooltip:
        parts.append(declared.shown.tooltip)
    return "; ".join(parts)


def _columns(rows: list[tuple[str, str, str]]) -> list[str]:
    names = max((len(row[0]) for row in rows), default=0)
    types = max((len(row[1]) for row in rows), default=0)
    return [f"  {name:<{names}}  {kind:<{types}}  {about}".rstrip() for name, kind, about in rows]


def _unknown(name: str | None, registry: Registry) -> GraphcoreError:
    if name is None:
        return ResourceError("No nodes are installed; install a node pack.", code="no-nodes")
    near = registry.nearest(name)
    hint = f"did you mean '{near}'?" if near else "`graphcore nodes` lists all."
    return InputError(f"There is no node '{name}'; {hint}", code="unknown-node-type")


def _json(value: JSON | list[dict[str, JSON]] | dict[str, JSON]) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)
