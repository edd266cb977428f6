"""`graphcore schema`: the JSON Schema of a workflow for the installed nodes."""

from __future__ import annotations

import json
from pathlib import Path

import click

from graphcore.cli.failures import telling_errors
from graphcore.cli.options import installed_nodes, output_option, write_text
from graphcore.schema import workflow_schema


@click.command()
@output_option
@telling_errors
def schema(*, output: Path | None) -> None:
    """Print the JSON Schema of a workflow for all installed nodes.

    A "$schema" line in a workflow that names the written file makes an editor complete and check it.
    """
    write_text(json.dumps(workflow_schema(installed_nodes()), indent=1, ensure_ascii=False), output)
