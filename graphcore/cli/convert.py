"""`graphcore convert`: a workflow in another format."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from graphcore.cli.failures import telling_errors
from graphcore.cli.options import installed_nodes, output_option, workflow_argument, write_text
from graphcore.errors import DocumentError, Problem, ValidationError
from graphcore.formats.as_native import as_native
from graphcore.formats.comfy_api import read_prompt, write_prompt
from graphcore.formats.native import write_native
from graphcore.formats.reading import read_workflow
from graphcore.jsontext import JSON, parse_json
from graphcore.registry import Registry
from graphcore.workflow import Link, Workflow

if TYPE_CHECKING:
    from graphcore.formats.ui import Definitions


@click.command()
@workflow_argument
@click.option(
    "--to",
    "target",
    type=click.Choice(["native", "comfy-api", "comfy-ui", "python"]),
    required=True,
    help="The format.",
)
@output_option
@click.option(
    "--object-info",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Node definitions of a ComfyUI server (its answer to GET /object_info), for nodes not installed here.",
)
@telling_errors
def convert(*, file: Path, target: str, output: Path | None, object_info: Path | None) -> None:
    """Write the workflow in FILE in another format, to standard output or to a file.

    FILE is a native workflow, a ComfyUI prompt or graph, a picture that carries one, or - for standard input.
    """
    source = _Source(file, installed_nodes(), object_info)
    if target == "python":
        from graphcore.formats.python_code import write_python

        write_text(write_python(source.workflow(), source.registry).rstrip("\n"), output)
        return
    written = {"native": source.native, "comfy-api": source.prompt, "comfy-ui": source.ui_graph}[target]()
    write_text(json.dumps(written, indent=2, ensure_ascii=False), output)


class _Source:
    """The document to convert; read as a UI graph, a prompt or a workflow, as far as the target needs it."""

    def __init__(self, file: Path, registry: Registry, object_info: Path | None) -> None:
        self.registry = registry
        self.object_info = object_info
        self.given = sys.stdin.buffer.read() if str(file) == "-" else _bytes(file)
        self.graph = self._ui_document()

    def _ui_document(self) -> dict[str, JSON] | None:
        from graphcore.formats.ui import is_ui_graph

        if self.given.lstrip()[:1] != b"{":
            return None
        document = parse_json(self.given)
        return document if isinstance(document, dict) and is_ui_graph(document) else None

    def definitions(self) -> Definitions:
        """The node definitions of the server named, or of the nodes installed here."""
        from graphcore.formats.object_info import object_info
        from graphcore.formats.ui import ObjectInfoDefinitions

        if self.object_info is None:
            return ObjectInfoDefinitions.from_json(object_info(self.registry))
        return ObjectInfoDefinitions.from_bytes(self.object_info.read_bytes())

    def workflow(self) -> Workflow:
        """The document as a workflow."""
        return read_workflow(self.given, self.registry) if self.graph is None else read_prompt(self.prompt())

    def native(self) -> dict[str, JSON]:
        """The document in the native format."""
        return write_native(as_native(self.workflow(), self.registry))

    def prompt(self) -> dict[str, JSON]:
        """The document as a ComfyUI API prompt."""
        if self.graph is None:
            workflow = read_workflow(self.given, self.registry)
            _refuse_gathered_links(workflow)
            return write_prompt(workflow, self.registry)
        from graphcore.formats.ui import read_ui_graph, to_api_prompt

        return to_api_prompt(read_ui_graph(self.graph), self.definitions())

    def ui_graph(self) -> dict[str, JSON]:
        """The document as a ComfyUI graph; one that is a graph already stays as it is."""
        if self.graph is not None:
            return self.graph
        from graphcore.formats.ui.layout import to_ui_graph

        return to_ui_graph(self.prompt(), self.definitions())


def _refuse_gathered_links(workflow: Workflow) -> None:
    problems = [
        Problem(
            code="not-in-comfy-api",
            message=f"'{name}' gathers several links, which ComfyUI's formats cannot say; feed it from one node.",
            node=node_id,
            input=name,
        )
        for node_id, entry in workflow.nodes.items()
        for name, value in entry.inputs.items()
        if isinstance(value, list) and len(value) > 1 and any(isinstance(item, Link) for item in value)
    ]
    if problems:
        raise ValidationError(problems)


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise DocumentError(
            f"The file '{file}' cannot be read: {error.strerror or error}.", code="unreadable-file"
        ) from error
