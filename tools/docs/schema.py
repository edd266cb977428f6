"""The JSON Schema beside the shipped workflows."""

from __future__ import annotations

import json

from graphcore.registry import Registry
from graphcore.schema import workflow_schema


def schema_file(registry: Registry) -> str:
    """The text of workflows/workflow.schema.json, as `graphcore schema` prints it."""
    return json.dumps(workflow_schema(registry), indent=1, ensure_ascii=False) + "\n"
