"""The JSON Schema (2020-12) of a workflow for a set of nodes: completion and checks in any editor.

It says what a document may look like; what links connect, which files exist and what budgets allow is validation's.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from urllib.parse import quote

from graphcore.formats.native import FORMAT_VERSION
from graphcore.jsontext import JSON
from graphcore.registry import Registry
from graphcore.spec import MISSING, InputSpec, NodeSpec

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_NAME_PATTERN: Final = "^[A-Za-z_][A-Za-z0-9_-]{0,63}$"
_ID_PATTERN: Final = "^[A-Za-z0-9_-]{1,64}$"
_PRIMITIVES: Final = {
    "INT": "integer",
    "FLOAT": "number",
    "STRING": "string",
    "COMBO": "string",
    "BOOLEAN": "boolean",
}
_INT_BOUNDS: Final = (-(2**63), 2**64 - 1)


def workflow_schema(registry: Registry) -> dict[str, JSON]:
    """The schema of a native workflow whose nodes are those of the registry."""
    specs = list(registry)
    names: list[JSON] = [*registry.comfy_names()]
    shapes: dict[str, JSON] = {_definition(spec): _inputs(spec) for spec in specs}
    node: dict[str, JSON] = {
        "type": "object",
        "required": ["type"],
        "additionalProperties": False,
        "properties": {
            "type": {"enum": names, "description": "The node's type."},
            "title": {"type": "string", "description": "A title for people."},
            "inputs": {"type": "object"},
        },
        "allOf": [_when(spec) for spec in specs],
    }
    return {
        "$schema": DIALECT,
        "title": "graphcore workflow",
        "description": "A graph of nodes that makes pictures.",
        "type": "object",
        "required": ["graphcore", "nodes"],
        "additionalProperties": False,
        "properties": {
            "$schema": {"type": "string"},
            "graphcore": {"const": FORMAT_VERSION, "description": "The version of this format."},
            "title": {"type": "string"},
            "description": {"type": "string"},
            "nodes": {
                "type": "object",
                "description": "The nodes by their ids.",
                "propertyNames": {"pattern": _ID_PATTERN},
                "additionalProperties": {"$ref": "#/$defs/node"},
            },
            "inputs": {
                "type": "object",
                "description": "Named parameters of the workflow; the values in its nodes are their defaults.",
                "propertyNames": {"pattern": _NAME_PATTERN},
                "additionalProperties": {"$ref": "#/$defs/workflow-input"},
            },
            "outputs": {
                "type": "object",
                "description": "Named results of the workflow.",
                "propertyNames": {"pattern": _NAME_PATTERN},
                "additionalProperties": {"$ref": "#/$defs/link"},
            },
            "ui": {"description": "Kept for editors; means nothing to the engine."},
        },
        "$defs": {
            "link": _LINK,
            "target": _TARGET,
            "workflow-input": _WORKFLOW_INPUT,
            "node": node,
            **shapes,
        },
    }


_LINK: Final[dict[str, JSON]] = {
    "type": "object",
    "description": "An output of another node; its name may be left out where the node has one output.",
    "required": ["node"],
    "additionalProperties": False,
    "properties": {"node": {"type": "string"}, "output": {"type": "string"}},
}
_LITERAL: Final[dict[str, JSON]] = {
    "type": "object",
    "description": "A plain value, written out so that it cannot be taken for a link.",
    "required": ["value"],
    "additionalProperties": False,
    "properties": {"value": True},
}
_TARGET: Final[dict[str, JSON]] = {
    "type": "object",
    "required": ["node", "input"],
    "additionalProperties": False,
    "properties": {"node": {"type": "string"}, "input": {"type": "string"}},
}
_WORKFLOW_INPUT: Final[dict[str, JSON]] = {
    "type": "object",
    "required": ["node", "input"],
    "additionalProperties": False,
    "properties": {
        "node": {"type": "string"},
        "input": {"type": "string"},
        "also": {"type": "array", "items": {"$ref": "#/$defs/target"}},
        "title": {"type": "string"},
        "description": {"type": "string"},
    },
}


def _definition(spec: NodeSpec) -> str:
    return f"inputs of {spec.name}"


def _when(spec: NodeSpec) -> JSON:
    pointer = quote(_definition(spec).replace("~", "~0").replace("/", "~1"))
    then: dict[str, JSON] = {"properties": {"inputs": {"$ref": f"#/$defs/{pointer}"}}}
    if any(declared.required for declared in spec.inputs):
        then["required"] = ["inputs"]
    condition: JSON = {"required": ["type"], "properties": {"type": {"enum": [spec.name, *spec.aliases]}}}
    return {"if": condition, "then": then}


def _inputs(spec: NodeSpec) -> JSON:
    schema: dict[str, JSON] = {
        "type": "object",
        "properties": {declared.name: _input(declared) for declared in spec.inputs},
        "required": [declared.name for declared in spec.inputs if declared.required],
        "additionalProperties": False if spec.open_inputs is None else _input(spec.open_inputs),
    }
    if spec.description:
        schema["description"] = spec.description
    return schema


def _input(declared: InputSpec) -> JSON:
    schema: dict[str, JSON] = {"anyOf": [{"$ref": "#/$defs/link"}, *_forms(declared)]}
    if declared.shown.title:
        schema["title"] = declared.shown.title
    hint = f"{declared.comfy_type}" + (f": {declared.shown.tooltip}" if declared.shown.tooltip else "")
    schema["description"] = hint
    if declared.default is not MISSING and declared.default is not None:
        schema["default"] = declared.default  # type: ignore[assignment]
    return schema


def _forms(declared: InputSpec) -> Iterator[JSON]:
    single = list(_values(declared))
    yield from single
    if declared.gather:
        yield {"type": "array", "items": {"anyOf": [{"$ref": "#/$defs/link"}, *single]}}
    if declared.default is None or declared.optional or declared.type.is_any:
        yield {"type": "null"}


def _values(declared: InputSpec) -> Iterator[JSON]:
    plain = _plain_value(declared)
    if plain is None:
        return
    yield plain
    yield {
        "type": "object",
        "required": ["value"],
        "additionalProperties": False,
        "properties": {"value": plain},
    }


def _plain_value(declared: InputSpec) -> JSON:
    """What a plain value must be, or None where only a link will do."""
    if declared.choices is not None:
        return {"enum": list(declared.choices)}  # type: ignore[arg-type]
    if declared.file is not None:
        return {"type": "string"}
    kind = _PRIMITIVES.get(declared.type.name)
    if kind is None:
        free = declared.type.is_any or "," in declared.type.name
        return {"type": ["string", "number", "boolean", "array"]} if free else None
    schema: dict[str, JSON] = {"type": kind}
    if declared.type.name == "INT":
        schema["minimum"], schema["maximum"] = _INT_BOUNDS
    if declared.range is not None:
        for word, bound in (("minimum", declared.range.minimum), ("maximum", declared.range.maximum)):
            if bound is not None:
                schema[word] = bound
    return schema
