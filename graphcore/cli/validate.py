"""`graphcore validate`: every problem of a workflow, without running it."""

from __future__ import annotations

import json
from pathlib import Path

import click

from graphcore.cli.failures import DONE, INVALID, tell_problems, telling_errors
from graphcore.cli.options import (
    files_of,
    folder_options,
    folder_settings,
    installed_nodes,
    json_option,
    workflow_argument,
    workflow_of,
)
from graphcore.validation import validate as find_problems


@click.command()
@workflow_argument
@folder_options
@json_option
@telling_errors
def validate(
    *,
    file: Path,
    models_dirs: tuple[Path, ...],
    extra_model_paths: tuple[Path, ...],
    input_dir: Path,
    as_json: bool,
) -> int:
    """Check the workflow in FILE and list every problem; nothing is run."""
    registry = installed_nodes()
    files = files_of(folder_settings(models_dirs, extra_model_paths, input_dir), registry)
    workflow = workflow_of(file, registry)
    problems = find_problems(workflow, registry, files=files)
    if as_json:
        document = {
            "state": "invalid" if problems else "valid",
            "nodes": len(workflow.nodes),
            "problems": [problem.as_json() for problem in problems],
        }
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
    elif problems:
        tell_problems(problems)
    else:
        click.echo(f"{file}: valid, {len(workflow.nodes)} nodes")
    return INVALID if problems else DONE
