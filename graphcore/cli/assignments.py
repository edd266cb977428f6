"""Reads `--set name=value`: the declared type of the input decides how the text is read."""

from __future__ import annotations

from collections.abc import Iterable

import click

from graphcore.errors import DocumentError
from graphcore.jsontext import parse_json
from graphcore.registry import Registry
from graphcore.spec import InputSpec
from graphcore.workflow import Workflow

_TEXTUAL = ("STRING", "COMBO")


def read_assignments(given: Iterable[str], workflow: Workflow, registry: Registry) -> dict[str, object]:
    """The values of `name=value` texts; a name is a declared input, or `node.input`.

    Text inputs take the text as it is; for all others it is JSON, and plain text where it is not.
    Raises click.UsageError if there is no '='.
    """
    values: dict[str, object] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise click.UsageError(f"--set takes name=value, and got '{text}'.")
        values[name] = _value(value, _declared(name, workflow, registry))
    return values


def _declared(name: str, workflow: Workflow, registry: Registry) -> InputSpec | None:
    for target in workflow.targets_of(name) or ():
        entry = workflow.nodes.get(target.node)
        spec = registry.get(entry.type) if entry is not None else None
        if spec is not None:
            return spec.input(target.input)
    return None


def _value(text: str, declared: InputSpec | None) -> object:
    if declared is not None and not declared.gather:
        if declared.choices is not None:
            return next((choice for choice in declared.choices if str(choice) == text), text)
        if declared.type.name in _TEXTUAL or declared.file is not None:
            return text
        if declared.type.name == "BOOLEAN" and text.lower() in ("true", "false"):
            return text.lower() == "true"
    try:
        return parse_json(text)
    except DocumentError:
        return text
