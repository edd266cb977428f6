"""Reads a workflow in any format, told apart by its shape: native, ComfyUI's API prompt or UI graph, a picture."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from graphcore.errors import DocumentError
from graphcore.formats.comfy_api import looks_like_prompt, read_prompt
from graphcore.formats.native import read_native
from graphcore.jsontext import JSON, MAX_BYTES, check_json, parse_json
from graphcore.registry import Registry
from graphcore.workflow import Workflow

if TYPE_CHECKING:
    from graphcore.formats.pictures import PictureMetadata
    from graphcore.formats.ui import Definitions

_PICTURES: Final = (b"\x89PNG", b"RIFF", b"\xff\xd8\xff", b"GIF8")
_PARAMETERS: Final = re.compile(r"(?:^|\s)Steps: ?[0-9]")

Format = Literal["native", "comfy-ui", "comfy-api"]
Source = bytes | str | Path | Mapping[str, object]


def read_workflow(
    source: Source | Workflow, registry: Registry, *, definitions: Definitions | None = None
) -> Workflow:
    """Read a workflow: JSON text or bytes, a parsed document, a path to a JSON file or to a picture that holds one.

    UI graphs need node definitions: those given, or else the registry's. Raises DocumentError if it is no workflow.
    """
    if isinstance(source, Workflow):
        return source
    return read_document(find_document(source), registry, definitions=definitions)


def find_document(source: Source, *, drawn: bool = False) -> Mapping[str, JSON]:
    """The parsed document in a source, in whatever format it is.

    A picture may carry a workflow in several; `drawn` prefers the graph that an editor drew to what ran. A1111's
    parameters become the prompt that they describe. Raises DocumentError.
    """
    if isinstance(source, Path):
        source = _file_bytes(source)
    if isinstance(source, bytes) and is_picture(source):
        return _in_picture(source, drawn)
    if isinstance(source, (bytes, str)):
        document: object = _from_text(source)
    else:
        document = source
        check_json(document)
    if not isinstance(document, Mapping):
        kind = {list: "a list", str: "text", type(None): "null"}.get(type(document), "a number")
        raise DocumentError(f"A workflow is a JSON object, and this is {kind}.", code="unknown-shape")
    return document


def _from_text(source: bytes | str) -> object:
    try:
        return parse_json(source)
    except DocumentError as error:
        text = source if isinstance(source, str) else source.decode("utf-8-sig", errors="replace")
        if error.code == "not-json" and _PARAMETERS.search(text):
            return _from_parameters(text)
        raise


def is_picture(data: bytes) -> bool:
    """True if bytes begin as a picture that may carry a workflow."""
    return data.startswith(_PICTURES)


def read_document(
    document: Mapping[str, JSON], registry: Registry, *, definitions: Definitions | None = None
) -> Workflow:
    """Read a parsed document of any of the three formats."""
    kind = format_of(document)
    if kind == "native":
        return read_native(document)
    if kind == "comfy-ui":
        return _read_ui(document, definitions or own_definitions(registry))
    prompt = document.get("prompt")
    return read_prompt(prompt if isinstance(prompt, dict) and looks_like_prompt(prompt) else document)


def format_of(document: Mapping[str, JSON]) -> Format:
    """Which format a parsed document is in, told by its shape; raises DocumentError for none that is known."""
    if "graphcore" in document and not isinstance(document["graphcore"], dict):
        return "native"
    if isinstance(document.get("nodes"), list):
        return "comfy-ui"
    prompt = document.get("prompt")
    if looks_like_prompt(document) or (isinstance(prompt, dict) and looks_like_prompt(prompt)):
        return "comfy-api"
    raise DocumentError(
        'This JSON is no workflow that is known here: a native one has "graphcore": 1, an API prompt has nodes with '
        "class_type, a UI graph has a list of nodes.",
        code="unknown-shape",
    )


def read_picture(data: bytes, registry: Registry) -> Workflow:
    """Read the workflow that a picture carries in its metadata."""
    return read_document(_in_picture(data, drawn=False), registry)


def own_definitions(registry: Registry, info: Mapping[str, object] | None = None) -> Definitions:
    """What UI graphs are read with: the definitions of `info` (an object_info mapping), then the registry's."""
    from graphcore.formats.object_info import object_info
    from graphcore.formats.ui import ObjectInfoDefinitions

    return ObjectInfoDefinitions.from_json({**object_info(registry), **(info or {})})


def _in_picture(data: bytes, drawn: bool) -> Mapping[str, JSON]:
    from graphcore.formats.pictures import read_metadata

    found = read_metadata(data)
    fault: DocumentError | None = None
    for text in _carried(found, drawn):
        try:
            document = parse_json(text, nan_as_null=True)
        except DocumentError as error:
            fault = fault or error
            continue
        if isinstance(document, dict):
            return document
    read = _from_settings(found)
    if read is not None:
        return read
    raise fault or DocumentError(
        "The picture carries no workflow in its metadata.", code="no-workflow-in-picture"
    )


def _from_settings(found: PictureMetadata) -> Mapping[str, JSON] | None:
    """The prompt of A1111's text, or of another program's JSON, in either of the places where they stand."""
    from graphcore.formats.a1111 import prompt_of
    from graphcore.formats.generators import read_settings

    for text in (found.parameters, found.settings):
        if text is None or not text.lstrip().startswith("{"):
            continue
        parameters = read_settings(text, source=found.source or "")
        if parameters is not None:
            return prompt_of(parameters)
    return None if found.parameters is None else _from_parameters(found.parameters)


def _carried(found: PictureMetadata, drawn: bool) -> Iterator[str]:
    ran = (found.graphcore, found.prompt)
    for text in (found.workflow, *ran) if drawn else (*ran, found.workflow):
        if text is not None:
            yield text


def _from_parameters(text: str) -> Mapping[str, JSON]:
    from graphcore.formats.a1111 import parameters_to_prompt

    return parameters_to_prompt(text)


def _read_ui(document: Mapping[str, JSON], definitions: Definitions) -> Workflow:
    from graphcore.formats.ui import read_ui_graph, to_api_prompt

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
