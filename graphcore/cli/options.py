"""Options that several commands share, and the settings that they make."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, TypeVar

import click

from graphcore.errors import GraphcoreError
from graphcore.files import Files
from graphcore.formats.reading import find_document, read_document
from graphcore.jsontext import JSON
from graphcore.model_paths import read_model_paths
from graphcore.registry import Registry
from graphcore.settings import Settings
from graphcore.workflow import Workflow

MODELS_VARIABLE: Final = "GRAPHCORE_MODELS"
CommandT = TypeVar("CommandT", bound=Callable[..., object])

_FOLDER = click.Path(file_okay=False, path_type=Path)
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


def workflow_argument(command: CommandT) -> CommandT:
    """The argument FILE: a workflow in any format, a picture that carries one, or `-` for standard input."""
    return click.argument("file", metavar="FILE", type=click.Path(path_type=Path, allow_dash=True))(command)


def json_option(command: CommandT) -> CommandT:
    """The flag --json: one JSON document on standard output."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")(command)


def output_option(command: CommandT) -> CommandT:
    """The option -o: a file to write instead of standard output."""
    option = click.option(
        "-o",
        "--output",
        type=click.Path(dir_okay=False, path_type=Path),
        help="Write this file instead of standard output.",
    )
    return option(command)


def object_info_option(command: CommandT) -> CommandT:
    """The option --object-info: node definitions of a ComfyUI server, for classes that are not installed here."""
    option = click.option(
        "--object-info",
        metavar="FILE|URL",
        help="Node definitions of a ComfyUI server, which come before those of the nodes installed here: its answer "
        "to GET /object_info as a file, or its address.",
    )
    return option(command)


def folder_options(command: CommandT) -> CommandT:
    """The options that say where models and input files are."""
    for option in (
        click.option(
            "--input-dir", type=_FOLDER, default=Path("input"), help="Folder of input files (./input)."
        ),
        click.option(
            "--extra-model-paths",
            type=_FILE,
            multiple=True,
            help="A file in the format of ComfyUI's extra_model_paths.yaml. May be given again.",
        ),
        click.option(
            "--models-dir",
            "models_dirs",
            type=_FOLDER,
            multiple=True,
            help=f"Folder of models in ComfyUI's layout; may be given again. Default: ${MODELS_VARIABLE}, ./models.",
        ),
    ):
        command = option(command)
    return command


def models_folders(given: tuple[Path, ...]) -> tuple[Path, ...]:
    """The models folders: those given, else those of the environment, else ./models.

    Raises click.UsageError if a folder that was given does not exist.
    """
    for folder in given:
        if not folder.is_dir():
            raise click.UsageError(f"There is no folder '{folder}'; --models-dir must name one that exists.")
    named = tuple(Path(part) for part in os.environ.get(MODELS_VARIABLE, "").split(os.pathsep) if part)
    return given or named or (Path("models"),)


def folder_settings(
    models_dirs: tuple[Path, ...], extra_model_paths: tuple[Path, ...], input_dir: Path
) -> Settings:
    """Settings with these folders, enough to list and to validate."""
    return Settings(
        models_dirs=models_folders(models_dirs),
        extra_folders=read_model_paths(extra_model_paths),
        input_dir=input_dir,
    )


def node_pack_option(command: CommandT) -> CommandT:
    """The option --node-pack: ComfyUI packs whose nodes are used too."""
    option = click.option(
        "--node-pack",
        "node_packs",
        type=click.Path(path_type=Path),
        multiple=True,
        help="Load this ComfyUI node pack, or the packs in this folder. Packs are code, and may do what you may.",
    )
    return option(command)


def installed_nodes(node_packs: tuple[Path, ...] = (), settings: Settings | None = None) -> Registry:
    """The nodes of all installed packs, and of these ComfyUI packs.

    A pack that cannot be loaded is left out with a warning. What packs print while they are loaded goes to standard
    error. Raises InputError for a ComfyUI pack that does not exist.
    """
    registry = Registry.installed(on_broken=_warn_of_pack)
    if node_packs:
        with contextlib.redirect_stdout(sys.stderr):
            registry.load_packs(node_packs, settings or Settings())
        for report in registry.pack_reports:
            if report.error is not None:
                _warn(f"the node pack '{report.name}' cannot be loaded and is left out: {report.error}")
    return registry


def _warn_of_pack(name: str, error: Exception) -> None:
    reason = error.message if isinstance(error, GraphcoreError) else f"{type(error).__name__}: {error}"
    _warn(f"the node pack '{name}' cannot be loaded and is left out: {reason}")


def _warn(sentence: str) -> None:
    click.echo(f"{click.style('warning:', fg='yellow', bold=True)} {sentence}", err=True)


def foreign_definitions(place: str | None) -> dict[str, object]:
    """The definitions that --object-info names; none without it."""
    if place is None:
        return {}
    from graphcore.formats.definition_source import load_object_info

    return load_object_info(place)


def document_of(file: Path, *, drawn: bool = False) -> Mapping[str, JSON]:
    """The document that FILE names, parsed; `drawn` prefers a picture's graph. Raises DocumentError."""
    return find_document(sys.stdin.buffer.read() if str(file) == "-" else file, drawn=drawn)


def workflow_of(file: Path, registry: Registry) -> Workflow:
    """Read the workflow that FILE names; raises DocumentError."""
    return read_document(document_of(file), registry)


def files_of(settings: Settings, registry: Registry) -> Files:
    """The folders of these settings and of the installed packs."""
    return Files.from_settings(settings, registry.folders)


def write_text(text: str, output: Path | None) -> None:
    """Write text to a file, or to standard output."""
    if output is None:
        click.echo(text)
        return
    try:
        output.write_text(text if text.endswith("\n") else f"{text}\n", encoding="utf-8")
    except OSError as error:
        raise click.UsageError(f"'{output}' cannot be written: {error.strerror}.") from error
