"""`graphcore run`: a workflow becomes pictures."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import click

from graphcore.arguments import shorten
from graphcore.cli.assignments import read_assignments
from graphcore.cli.data_folder import data_folder, data_option
from graphcore.cli.failures import DONE, exit_code, tell, telling_errors
from graphcore.cli.interrupts import cancelling_on_interrupt
from graphcore.cli.memory_size import MemorySize
from graphcore.cli.options import (
    folder_options,
    folder_settings,
    installed_nodes,
    json_option,
    node_pack_option,
    workflow_argument,
    workflow_of,
    write_text,
)
from graphcore.cli.progress import view_of_run
from graphcore.engine import Engine, RunHandle
from graphcore.events import NodeFailed, RunState
from graphcore.results import RunResult
from graphcore.run_options import RunOptions
from graphcore.settings import Settings
from graphcore.timeline import run_report, trace_events
from graphcore.worker.configuration import build_cache


@dataclass(frozen=True, slots=True, kw_only=True)
class Reporting:
    """What a run prints, and where."""

    as_json: bool
    as_events: bool
    quiet: bool
    tracebacks: bool
    previews: bool
    detect_mutation: bool = False
    report_file: Path | None = None
    timeline_file: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Workshop:
    """What a run is made with: ComfyUI packs beside the installed nodes, and the kind of cache."""

    node_packs: tuple[Path, ...] = ()
    cache: str = "classic"


_WRITTEN: Final = click.Path(dir_okay=False, path_type=Path)


@click.command()
@workflow_argument
@click.option(
    "-s",
    "--set",
    "assignments",
    metavar="NAME=VALUE",
    multiple=True,
    help="Set a workflow input, or node.input.",
)
@click.option(
    "-t", "--targets", metavar="NAME,…", multiple=True, help="Run only what these nodes or outputs need."
)
@click.option(
    "--output-dir",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("output"),
    help="Folder that results are written into.",
    show_default=True,
)
@folder_options
@click.option("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps …", show_default=True)
@click.option(
    "--dtype", type=click.Choice(["auto", "fp32", "bf16", "fp16"]), default="auto", show_default=True
)
@click.option("--deterministic", is_flag=True, help="The same bytes in every run on the same kind of device.")
@click.option(
    "--device-memory",
    type=MemorySize(),
    default=None,
    help="How much of the device's memory may be used, as 6G or 800M; models that do not fit are streamed to it.",
)
@click.option("--no-metadata", is_flag=True, help="Write no workflow into pictures.")
@click.option(
    "--detect-mutation",
    is_flag=True,
    help="Check that no node changes its inputs; names the one that does. Slow.",
)
@click.option("--preview", "previews", is_flag=True, help="Show what samplers make while they make it.")
@json_option
@click.option(
    "--json-events", "as_events", is_flag=True, help="Print each event of the run as a line of JSON."
)
@node_pack_option
@click.option(
    "--cache",
    help="classic, lru:N or none: what is kept of other runs.",
    default="classic",
    show_default=True,
)
@data_option
@click.option("--no-store", is_flag=True, help="Neither use nor keep results of other runs.")
@click.option(
    "--report",
    "report_file",
    type=_WRITTEN,
    help="Write seconds, bytes and hits of each node as JSON.",
)
@click.option(
    "--timeline",
    "timeline_file",
    type=_WRITTEN,
    help="Write a timeline that opens in Perfetto (ui.perfetto.dev).",
)
@click.option("-q", "--quiet", is_flag=True, help="Show no progress.")
@click.option(
    "--traceback", "tracebacks", is_flag=True, help="Show the Python traceback of a node that fails."
)
@telling_errors
def run(
    *,
    file: Path,
    assignments: tuple[str, ...],
    targets: tuple[str, ...],
    output_dir: Path,
    models_dirs: tuple[Path, ...],
    extra_model_paths: tuple[Path, ...],
    input_dir: Path,
    device: str,
    dtype: str,
    device_memory: int | None,
    deterministic: bool,
    no_metadata: bool,
    node_packs: tuple[Path, ...],
    cache: str,
    data_dir: Path | None,
    no_store: bool,
    report_file: Path | None,
    timeline_file: Path | None,
    detect_mutation: bool,
    previews: bool,
    as_json: bool,
    as_events: bool,
    quiet: bool,
    tracebacks: bool,
) -> int:
    """Run the workflow in FILE.

    FILE is a native workflow, a ComfyUI prompt or graph, a picture that carries one, or - for standard input. Pictures
    saved are named on standard output, one a line; progress goes to standard error.
    """
    settings = replace(
        folder_settings(models_dirs, extra_model_paths, input_dir),
        output_dir=output_dir,
        device=device,
        dtype=dtype,
        device_memory_bytes=device_memory,
        deterministic=deterministic,
        metadata=not no_metadata,
        data_dir=None if no_store else data_folder(data_dir),
    )
    reporting = Reporting(
        as_json=as_json,
        as_events=as_events,
        quiet=quiet or as_json,
        tracebacks=tracebacks,
        previews=previews,
        detect_mutation=detect_mutation,
        report_file=report_file,
        timeline_file=timeline_file,
    )
    if any(not text.strip(" ,") for text in targets):
        raise click.UsageError(
            "An empty --targets names nothing to run: name a node or an output, or leave it out."
        )
    wanted = [name.strip() for text in targets for name in text.split(",") if name.strip()]
    workshop = Workshop(node_packs=node_packs, cache=cache)
    return run_workflow(file, assignments, wanted or None, settings, reporting, workshop)


def run_workflow(
    file: Path,
    assignments: tuple[str, ...],
    targets: list[str] | None,
    settings: Settings,
    reporting: Reporting,
    workshop: Workshop | None = None,
) -> int:
    """Run a workflow, report it, and return the exit code; raises what `Engine.check` raises."""
    workshop = workshop or Workshop()
    registry = installed_nodes(workshop.node_packs, settings)
    with Engine(registry, settings=settings, cache=build_cache(workshop.cache)) as engine:
        workflow = workflow_of(file, engine.registry)
        graph = engine.check(
            workflow, inputs=read_assignments(assignments, workflow, engine.registry), targets=targets
        )
        handle = engine.start(
            graph, options=RunOptions(previews=reporting.previews, detect_mutation=reporting.detect_mutation)
        )
        with cancelling_on_interrupt(handle):
            tracebacks = watch(handle, reporting)
            result = handle.result()
        write_reports(result, reporting)
        if reporting.as_json:
            click.echo(json.dumps(result_as_json(result, engine), indent=2, ensure_ascii=False))
        elif reporting.as_events:
            click.echo(json.dumps({"event": "result", **result_as_json(result, engine)}, ensure_ascii=False))
        else:
            report(result, engine, reporting, tracebacks)
    return DONE if result.error is None else exit_code(result.error)


def write_reports(result: RunResult, reporting: Reporting) -> None:
    """Write what the run cost, where that was asked for."""
    if reporting.report_file is not None:
        write_text(json.dumps(run_report(result), indent=2), reporting.report_file)
    if reporting.timeline_file is not None:
        write_text(json.dumps(trace_events(result)), reporting.timeline_file)


def watch(handle: RunHandle, reporting: Reporting) -> Mapping[str, str]:
    """Show a run until it ends; returns the tracebacks of nodes that failed."""
    tracebacks: dict[str, str] = {}
    with view_of_run(
        quiet=reporting.quiet, as_events=reporting.as_events, previews=reporting.previews
    ) as view:
        for event in handle.events():
            if isinstance(event, NodeFailed):
                tracebacks[event.node] = event.traceback
            view.hear(event)
    return tracebacks


def report(result: RunResult, engine: Engine, reporting: Reporting, tracebacks: Mapping[str, str]) -> None:
    """Print what a run made on standard output, and how it went on standard error."""
    for item in shown_items(result):
        path = file_of(item, engine)
        if path is not None:
            click.echo(path)
        elif item.get("kind") == "text":
            click.echo(item.get("text", ""))
        elif item.get("kind") == "warning" and not reporting.quiet:
            label = click.style("warning:", fg="yellow", bold=True)
            click.echo(f"{label} {item.get('text', '')}", err=True)
    for name, value in result.outputs.items():
        if plain(value):
            click.echo(f"{name} = {json.dumps(value, ensure_ascii=False)}")
    if result.error is not None and result.state is RunState.CANCELLED:
        tell(result.error)
    elif result.error is not None:
        for node, error in (result.errors or {"": result.error}).items():
            tell(error)
            if reporting.tracebacks and node in tracebacks:
                click.echo(tracebacks[node], err=True)
    if not reporting.quiet:
        cached = sum(1 for node in result.reports if node.source == "cache")
        reused = f", {cached} from the cache" if cached else ""
        ran = len(result.reports) - cached
        word = "node" if ran == 1 else "nodes"
        click.secho(
            f"{result.state.value}: {ran} {word} run{reused} in {result.seconds:.1f} s", dim=True, err=True
        )


def result_as_json(result: RunResult, engine: Engine) -> dict[str, object]:
    """A run's result as JSON: plain outputs as they are, others in short."""
    files = [
        str(path) for path in (file_of(item, engine) for item in shown_items(result)) if path is not None
    ]
    errors = {
        node: error.as_json() | ({"cause": repr(error.__cause__)} if error.__cause__ is not None else {})
        for node, error in result.errors.items()
    }
    return {
        "state": result.state.value,
        "run_id": result.run_id,
        "seconds": round(result.seconds, 6),
        "files": files,
        "outputs": {name: _in_short(value) for name, value in result.outputs.items()},
        "shown": {node: [dict(item) for item in items] for node, items in result.shown.items()},
        "nodes": [
            {
                "node": node.node,
                "type": node.type,
                "source": node.source,
                "start": round(node.start, 6),
                "seconds": round(node.seconds, 6),
                "bytes": node.size,
                **({"facts": _in_short(dict(node.facts))} if node.facts else {}),
            }
            for node in result.reports
        ],
        "error": result.error.as_json() if result.error is not None else None,
        "errors": errors,
    }


def shown_items(result: RunResult) -> list[Mapping[str, object]]:
    """All that the nodes of a run showed."""
    return [item for items in result.shown.values() for item in items]


def file_of(item: Mapping[str, object], engine: Engine) -> Path | None:
    """The path of a file that a node showed, or None if it showed something else."""
    name, folder = item.get("filename"), str(item.get("subfolder") or "")
    base = engine.files.base(str(item.get("type", "output")))
    return base[0] / folder / name if isinstance(name, str) and base else None


def plain(value: object) -> bool:
    """True for what JSON can say."""
    if isinstance(value, (list, tuple)):
        return all(plain(item) for item in value)
    if isinstance(value, dict):
        return all(isinstance(name, str) and plain(item) for name, item in value.items())
    return value is None or isinstance(value, (bool, int, float, str))


def _in_short(value: Any) -> object:
    if plain(value):
        return value
    if isinstance(value, dict):
        return {str(name): _in_short(item) for name, item in value.items()}
    return shorten({"value": value})["value"]


__all__ = ["Reporting", "result_as_json", "run", "run_workflow"]
