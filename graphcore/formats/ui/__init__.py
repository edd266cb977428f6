"""ComfyUI UI graphs (litegraph JSON): reading, converting to API prompts, and drawing prompts as graphs."""

from __future__ import annotations

from graphcore.formats.ui.convert import MissingClass, missing_classes, to_api_prompt
from graphcore.formats.ui.definitions import (
    Definitions,
    InputDefinition,
    NodeDefinition,
    ObjectInfoDefinitions,
    OutputDefinition,
)
from graphcore.formats.ui.graph import UiGraph
from graphcore.formats.ui.layout import to_ui_graph
from graphcore.formats.ui.litegraph import Limits, is_ui_graph, read_ui_graph

__all__ = [
    "Definitions",
    "InputDefinition",
    "Limits",
    "MissingClass",
    "NodeDefinition",
    "ObjectInfoDefinitions",
    "OutputDefinition",
    "UiGraph",
    "is_ui_graph",
    "missing_classes",
    "read_ui_graph",
    "to_api_prompt",
    "to_ui_graph",
]
