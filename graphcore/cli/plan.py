"""`graphcore plan`: what a run would do, before it does it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import click

from graphcore.cli.assignments import read_assignments
from graphcore.cli.data_folder import data_folder, data_option
from graphcore.cli.failures import telling_errors
from graphcore.cli.options import (
    folder_options,
    folder_settings,
    installed_nodes,
    json_option,
    node_pack_option,
    workflow_argument,
    workflow_of,
)
from graphcore.engine import Engine
from graphcore.plan import Plan, PlannedNode

_COLOURS = {"hit": "green", "run": "yellow", "deferred": "blue", "skip": "bright_black"}


@click.command()
@workflow_argument
@click.option("-s", "--set", "assignments", metavar="NAME=VALUE", multiple=True, help="Set a workflow input.")
@click.option(
    "-t", "--targets", metavar="NAME,…", multiple=True, help="Plan only for these nodes or outputs."
)
@click.option("--device", default="auto", show_default=True)
@click.option(
    "--dtype", type=click.Choice(["auto", "fp32", "bf16", "fp16"]), default="auto", show_default=True
)
@click.option("--deterministic", is_flag=True)
@folder_options
@node_pack_option
@data_option
@json_option
@telling_errors
def plan(
    *,
    file: Path,
    assignments: tuple[str, ...],
    targets: tuple[str, ...],
    device: str,
    dtype: str,
    deterministic: bool,
    models_dirs: tuple[Path, ...],
    extra_model_paths: tuple[Path, ...],
    input_dir: Path,
    node_packs: tuple[Path, ...],
    data_dir: Path | None,
    as_json: bool,
) -> None:
    """Say what running FILE would do: which results are kept already, which nodes run and why, and the cost.

    Nothing is run and no weights are loaded. Seconds and bytes are what equal work took before.
    """
    settings = replace(
        folder_settings(models_dirs, extra_model_paths, input_dir),
        data_dir=data_folder(data_dir),
        device=device,
        dtype=dtype,
        deterministic=deterministic,
    )
    wanted = [name.strip() for text in targets for name in text.split(",") if name.strip()]
    with Engine(installed_nodes(node_packs, settings), settings=settings) as engine:
        workflow = workflow_of(file, engine.registry)
        values = read_assignments(assignments, workflow, engine.registry)
        made = engine.plan(workflow, inputs=values, targets=wanted or None)
    click.echo(json.dumps(made.as_json(), indent=2) if as_json else "\n".join(_lines(made)))


def _lines(made: Plan) -> list[str]:
    width = max((len(f"{node.node} ({node.type})") for node in made.nodes), default=0)
    lines = [_line(node, width) for node in made.nodes]
    unknown = f", {made.unknown} never timed" if made.unknown else ""
    lines.append(
        f"{made.hits} kept, {made.runs} to run{unknown}: about {made.seconds:.2f} s, "
        f"results up to {made.peak_bytes / 1e6:.1f} MB at a time"
    )
    return lines


def _line(node: PlannedNode, width: int) -> str:
    cost = "" if node.seconds is None or node.action != "run" else f"{node.seconds:8.3f} s"
    name = f"{node.node} ({node.type})"
    return f"{click.style(f'{node.action:<9}', fg=_COLOURS[node.action])}{name:<{width}}  {cost:>10}  {node.reason}"
