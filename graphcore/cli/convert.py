"""`graphcore convert`: a workflow in another format."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from graphcore.cli.failures import telling_errors
from graphcore.cli.options import (
    document_of,
    foreign_definitions,
    installed_nodes,
    node_pack_option,
    object_info_option,
    output_option,
    workflow_argument,
    write_text,
)
from graphcore.errors import Problem, ValidationError
from graphcore.formats.as_native import as_native
from graphcore.formats.comfy_api import write_prompt
from graphcore.formats.native import write_native
from graphcore.formats.reading import format_of, own_definitions, read_document
from graphcore.growing import gathered
from graphcore.jsontext import JSON
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
@object_info_option
@node_pack_option
@telling_errors
def convert(
    *,
    file: Path,
    target: str,
    output: Path | None,
    object_info: str | None,
    node_packs: tuple[Path, ...],
) -> None:
    """Write the workflow in FILE in another format, to standard output or to a file.

    FILE is a native workflow, a ComfyUI prompt or graph, A1111's parameters as text, a picture that carries one of
    them, or - for standard input.
    """
    document = document_of(file, drawn=target == "comfy-ui")
    source = _Source(document, installed_nodes(node_packs), foreign_definitions(object_info))
    if target == "python":
        from graphcore.formats.python_code import write_python

        write_text(write_python(source.workflow(), source.registry).rstrip("\n"), output)
        return
    written = {"native": source.native, "comfy-api": source.prompt, "comfy-ui": source.ui_graph}[target]()
    write_text(json.dumps(written, indent=2, ensure_ascii=False), output)


class _Source:
    """The document to convert; read as a UI graph, a prompt or a workflow, as far as the target needs it."""

    def __init__(
        self, document: Mapping[str, JSON], registry: Registry, foreign: Mapping[str, object]
    ) -> None:
        self.document = document
        self.registry = registry
        self.foreign = foreign

    @property
    def is_graph(self) -> bool:
        """True for a UI graph."""
        return format_of(self.document) == "comfy-ui"

    def definitions(self) -> Definitions:
        """The node definitions of the server named, and those of the nodes installed here."""
        return own_definitions(self.registry, self.foreign)

    def workflow(self) -> Workflow:
        """The document as a workflow."""
        return read_document(self.document, self.registry, definitions=self.definitions())

    def native(self) -> dict[str, JSON]:
        """The document in the native format."""
        return write_native(as_native(self.workflow(), self.registry))

    def prompt(self) -> dict[str, JSON]:
        """The document as a ComfyUI API prompt."""
        if not self.is_graph:
            return write_prompt(self.workflow(), self.registry)
        from graphcore.formats.ui import read_ui_graph, to_api_prompt

        return to_api_prompt(read_ui_graph(self.document), self.definitions())

    def ui_graph(self) -> Mapping[str, JSON]:
        """The document as a ComfyUI graph; one that is a graph already stays as it is."""
        if self.is_graph:
            return self.document
        from graphcore.formats.ui.layout import to_ui_graph

        _refuse_mixed_lists(gathered(self.workflow(), self.registry))
        return to_ui_graph(self.prompt(), self.definitions())


def _refuse_mixed_lists(workflow: Workflow) -> None:
    problems = [
        Problem(
            code="not-in-comfy-ui",
            message=f"'{name}' gathers links and plain values, which an editor's graph cannot say; feed the values "
            "from nodes too.",
            node=node_id,
            input=name,
        )
        for node_id, entry in workflow.nodes.items()
        for name, value in entry.inputs.items()
        if isinstance(value, list) and len({isinstance(item, Link) for item in value}) > 1
    ]
    if problems:
        raise ValidationError(problems)
