"""`graphcore models`: the model files that nodes can name here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import click

from graphcore.cli.data_folder import data_folder
from graphcore.cli.failures import telling_errors
from graphcore.cli.options import files_of, folder_options, folder_settings, installed_nodes, json_option
from graphcore.files import Files
from graphcore.registry import Registry


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFile:
    """A model file (or folder): its kind, the name that nodes use, where it is, its size, and who takes it."""

    kind: str
    name: str
    path: Path
    bytes: int
    nodes: tuple[str, ...]

    def as_json(self) -> dict[str, object]:
        """The file as plain JSON."""
        return {
            "kind": self.kind,
            "name": self.name,
            "path": str(self.path),
            "bytes": self.bytes,
            "nodes": list(self.nodes),
        }


@click.command()
@click.argument("kind", required=False)
@folder_options
@click.option("--digest", "digests", is_flag=True, help="Print each file's SHA-256 too; reads the files.")
@click.option("--details", is_flag=True, help="Say what each file is: family, parts, precision, metadata.")
@json_option
@telling_errors
def models(
    *,
    kind: str | None,
    models_dirs: tuple[Path, ...],
    extra_model_paths: tuple[Path, ...],
    input_dir: Path,
    digests: bool,
    details: bool,
    as_json: bool,
) -> None:
    """List the model files that nodes can name, of all kinds or of KIND (checkpoints, loras, vae …)."""
    registry = installed_nodes()
    files = files_of(
        replace(folder_settings(models_dirs, extra_model_paths, input_dir), data_dir=data_folder(None)),
        registry,
    )
    if kind is not None and kind not in files.folders:
        raise click.UsageError(f"There is no kind '{kind}'; known: {', '.join(sorted(files.folders))}.")
    found = [
        model
        for name in ([kind] if kind else sorted(files.folders))
        for model in _of_kind(name, files, registry)
    ]
    told = {model.path: registry.inspect(model.kind, model.path) for model in found} if details else {}
    sums = {model.path: files.digest(model.path) for model in found} if digests else {}
    if as_json:
        listed = [
            model.as_json()
            | ({"digest": sums[model.path]} if digests else {})
            | ({"details": told[model.path]} if details else {})
            for model in found
        ]
        click.echo(json.dumps(listed, indent=2, ensure_ascii=False))
    elif found:
        click.echo("\n".join(_listed(found, sums, told)))
    else:
        folders = ", ".join(str(folder) for folder in models_dirs) or "./models"
        click.echo(
            f"There are no model files; put them into folders such as {folders}/checkpoints.", err=True
        )


def _of_kind(kind: str, files: Files, registry: Registry) -> list[ModelFile]:
    takers = tuple(
        spec.name
        for spec in registry
        if any(declared.file is not None and declared.file.kind == kind for declared in spec.inputs)
    )
    found = []
    for name in files.names(kind):
        path = files.find(kind, name)
        if path is not None:
            found.append(ModelFile(kind=kind, name=name, path=path, bytes=_size(path), nodes=takers))
    return found


def _size(path: Path) -> int:
    if path.is_dir():
        return sum(entry.stat().st_size for entry in path.rglob("*") if entry.is_file())
    return path.stat().st_size


def _listed(
    found: list[ModelFile], sums: Mapping[Path, str], told: Mapping[Path, Mapping[str, str]]
) -> list[str]:
    lines: list[str] = []
    width = max(len(model.name) for model in found)
    last = ""
    for model in found:
        if model.kind != last:
            takers = f"  {', '.join(model.nodes)}" if model.nodes else ""
            lines += [
                *([""] if lines else []),
                click.style(model.kind, bold=True) + click.style(takers, dim=True),
            ]
            last = model.kind
        digest = f"  {sums[model.path]}" if model.path in sums else ""
        lines.append(f"  {model.name:<{width}}  {_megabytes(model.bytes):>10}{digest}")
        lines += [f"      {name}: {value}" for name, value in told.get(model.path, {}).items()]
    return lines


def _megabytes(size: int) -> str:
    return f"{size / 1e9:.2f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
