"""Reads a workflow in any format, told apart by its shape: native, ComfyUI's API prompt or UI graph, a picture."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from graphcore.errors import DocumentError
from graphcore.formats.comfy_api import looks_like_prompt, read_prompt
from graphcore.formats.native import read_native
from graphcore.jsontext import JSON, MAX_BYTES, check_json, parse_json
from graphcore.registry import Registry
from graphcore.workflow import Workflow

_PICTURES: Final = (b"\x89PNG", b"RIFF", b"\xff\xd8\xff", b"GIF8")


def read_workflow(
    source: bytes | str | Path | Mapping[str, object] | Workflow, registry: Registry
) -> Workflow:
    """Read a workflow: JSON text or bytes, a parsed document, a path to a JSON file or to a picture that holds one.

    The registry's node definitions are needed for UI graphs only. Raises DocumentError if it is no workflow.
    """
    if isinstance(source, Workflow):
        return source
    if isinstance(source, Path):
        source = _file_bytes(source)
    if isinstance(source, bytes) and source.startswith(_PICTURES):
        return read_picture(source, registry)
    if isinstance(source, (bytes, str)):
        document: object = parse_json(source)
    else:
        document = source
        check_json(document)
    if not isinstance(document, Mapping):
        kind = {list: "a list", str: "text", type(None): "null"}.get(type(document), "a number")
        raise DocumentError(f"A workflow is a JSON object, and this is {kind}.", code="unknown-shape")
    return read_document(document, registry)


def read_document(document: Mapping[str, JSON], registry: Registry) -> Workflow:
    """Read a parsed document of any of the three formats."""
    if "graphcore" in document and not isinstance(document["graphcore"], dict):
        return read_native(document)
    if isinstance(document.get("nodes"), list):
        return _read_ui(document, registry)
    prompt = document.get("prompt")
    if isinstance(prompt, dict) and looks_like_prompt(prompt):
        return read_prompt(prompt)
    if looks_like_prompt(document):
        return read_prompt(document)
    raise DocumentError(
        'This JSON is no workflow that is known here: a native one has "graphcore": 1, an API prompt has nodes with '
        "class_type, a UI graph has a list of nodes.",
        code="unknown-shape",
    )


def read_picture(data: bytes, registry: Registry) -> Workflow:
    """Read the workflow that a picture carries in its metadata."""
    from graphcore.formats.pictures import read_metadata

    found = read_metadata(data)
    for text in (found.graphcore, found.prompt, found.workflow):
        if text is not None:
            document = parse_json(text)
            if isinstance(document, dict):
                return read_document(document, registry)
    if found.parameters is not None:
        from graphcore.formats.a1111 import parameters_to_prompt

        return read_prompt(parameters_to_prompt(found.parameters))
    raise DocumentError("The picture carries no workflow in its metadata.", code="no-workflow-in-picture")


def _read_ui(document: Mapping[str, JSON], registry: Registry) -> Workflow:
    from graphcore.formats.object_info import object_info
    from graphcore.formats.ui import ObjectInfoDefinitions, read_ui_graph, to_api_prompt

    definitions = ObjectInfoDefinitions.from_json(object_info(registry))
    return read_prompt(to_api_prompt(read_ui_graph(document), definitions))


def _file_bytes(path: Path) -> bytes:
    try:
        if path.stat().st_size > 4 * MAX_BYTES:
            raise DocumentError(
                f"The file '{path.name}' is too large for a workflow.", code="document-too-large"
            )
        return path.read_bytes()
    except OSError as error:
        raise DocumentError(
            f"The file '{path}' cannot be read: {error.strerror or error}.", code="unreadable-file"
        ) from error
