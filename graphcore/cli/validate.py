"""`graphcore validate`: every problem of a workflow, without running it."""

from __future__ import annotations

import json
from pathlib import Path

import click

from graphcore.cli.failures import DONE, INVALID, tell_problems, telling_errors
from graphcore.cli.options import (
    document_of,
    files_of,
    folder_options,
    folder_settings,
    foreign_definitions,
    installed_nodes,
    json_option,
    node_pack_option,
    object_info_option,
    workflow_argument,
)
from graphcore.formats.foreign_nodes import foreign_registry
from graphcore.formats.reading import own_definitions, read_document
from graphcore.validation import validate as find_problems


@click.command()
@workflow_argument
@folder_options
@object_info_option
@node_pack_option
@json_option
@telling_errors
def validate(
    *,
    file: Path,
    models_dirs: tuple[Path, ...],
    extra_model_paths: tuple[Path, ...],
    input_dir: Path,
    object_info: str | None,
    node_packs: tuple[Path, ...],
    as_json: bool,
) -> int:
    """Check the workflow in FILE and list every problem; nothing is run.

    With --object-info it is checked for that server: against its nodes and the files that it lists.
    """
    settings = folder_settings(models_dirs, extra_model_paths, input_dir)
    registry = installed_nodes(node_packs, settings)
    files = files_of(settings, registry)
    document, foreign = document_of(file), foreign_definitions(object_info)
    workflow = read_document(document, registry, definitions=own_definitions(registry, foreign))
    if foreign:
        registry = foreign_registry(foreign, registry, {entry.type for entry in workflow.nodes.values()})
    problems = find_problems(workflow, registry, files=files)
    if as_json:
        report = {
            "state": "invalid" if problems else "valid",
            "nodes": len(workflow.nodes),
            "problems": [problem.as_json() for problem in problems],
        }
        click.echo(json.dumps(report, indent=2, ensure_ascii=False))
    elif problems:
        tell_problems(problems)
    else:
        click.echo(f"{file}: valid, {len(workflow.nodes)} nodes")
    return INVALID if problems else DONE
