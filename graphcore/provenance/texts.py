"""The texts that a saved picture carries, by name.

`prompt` and `workflow` are ComfyUI's, `parameters` is A1111's, `graphcore` is the native workflow and
`graphcore_record` the run record.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from graphcore.formats.comfy_api import write_prompt
from graphcore.formats.native import write_native
from graphcore.provenance.parameters import parameters_text
from graphcore.provenance.record import RecordSource, make_record, redacted
from graphcore.registry import Registry
from graphcore.workflow import Dialect

PictureTexts = Callable[[str, int], Mapping[str, str]]


def picture_texts(
    source: RecordSource, registry: Registry, extra: Mapping[str, Any], node: str, picture: int
) -> dict[str, str]:
    """The texts for a picture that `node` saves at place `picture` of its batch.

    `extra` is what the client sent along for pictures (ComfyUI's extra_pnginfo); it is written under its own names.
    """
    workflow = redacted(source.workflow, registry)
    texts = {"prompt": json.dumps(write_prompt(workflow, registry))}
    for name, value in extra.items():
        if _is_keyword(name) and name not in ("graphcore", "graphcore_record", "parameters"):
            texts[name] = json.dumps(value)
    if workflow.dialect is Dialect.NATIVE:
        texts["graphcore"] = json.dumps(write_native(workflow))
    parameters = parameters_text(source.nodes, source.index, node)
    if parameters is not None:
        texts["parameters"] = parameters
    texts["graphcore_record"] = json.dumps(make_record(source, node, picture).as_json())
    return texts


def _is_keyword(name: str) -> bool:
    """True for a name that a PNG text chunk may have."""
    return 0 < len(name) < 80 and name.isascii() and name.isprintable()
