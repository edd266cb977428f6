"""`graphcore show`: how a picture was made, as the picture itself tells."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from graphcore.cli.failures import telling_errors
from graphcore.cli.options import json_option
from graphcore.cli.terminal import visible
from graphcore.errors import DocumentError
from graphcore.formats.pictures import PictureMetadata, read_metadata
from graphcore.jsontext import parse_json
from graphcore.provenance.record import check_record


@click.command()
@click.argument("picture", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@json_option
@telling_errors
def show(*, picture: Path, as_json: bool) -> None:
    """Print how PICTURE was made: inputs, seeds, files and their digests, versions, times."""
    found = read_metadata(picture.read_bytes())
    parsed = {
        name: parse_json(text)
        for name, text in (
            ("record", found.graphcore_record),
            ("graphcore", found.graphcore),
            ("prompt", found.prompt),
            ("workflow", found.workflow),
        )
        if text is not None
    }
    if not parsed and found.parameters is None:
        raise DocumentError("The picture says nothing of how it was made.", code="no-workflow-in-picture")
    if as_json:
        whole: dict[str, object] = {**parsed}
        if found.parameters is not None:
            whole["parameters"] = found.parameters
        click.echo(json.dumps(whole, indent=2, ensure_ascii=False))
        return
    record = parsed.get("record")
    click.echo("\n".join([*_record_lines(record), *_other_lines(found)]))


def _record_lines(record: object) -> list[str]:
    if not isinstance(record, Mapping):
        return ["The picture carries no run record."]
    check_record(record)
    lines = [
        _row("made", record.get("created")),
        _row("with", f"graphcore {record.get('graphcore')}, in {record.get('seconds')} s"),
    ]
    for title, name in (
        ("inputs", "inputs"),
        ("seeds", "seeds"),
        ("environment", "environment"),
        ("facts", "facts"),
    ):
        lines += _pairs(title, record.get(name))
    for number, used in enumerate(record.get("files", [])):
        title = "files" if number == 0 else ""
        lines.append(_row(title, f"{used['kind']}/{used['name']}  {used['digest']}"))
    for number, (node_id, node) in enumerate(record.get("nodes", {}).items()):
        title = "nodes" if number == 0 else ""
        took = "kept" if node.get("source") == "cache" else f"{node.get('seconds')} s"
        lines.append(_row(title, f"{node_id} ({node.get('type')})  {took}"))
    return lines


def _pairs(title: str, values: Any) -> list[str]:
    if not isinstance(values, Mapping):
        return []
    return [
        _row(title if number == 0 else "", f"{name} = {json.dumps(value, ensure_ascii=False)}")
        for number, (name, value) in enumerate(values.items())
    ]


def _other_lines(found: PictureMetadata) -> list[str]:
    carried = [
        words
        for words, text in (
            ("the native workflow", found.graphcore),
            ("a ComfyUI prompt", found.prompt),
            ("a ComfyUI graph", found.workflow),
            ("A1111 parameters", found.parameters),
        )
        if text is not None
    ]
    lines = [_row("carries", ", ".join(carried) or "nothing else")]
    if found.parameters is not None:
        lines += [
            _row("" if number else "parameters", line)
            for number, line in enumerate(found.parameters.splitlines())
        ]
    return lines


def _row(title: str, text: object) -> str:
    return click.style(f"{title:<13}", bold=True) + visible(text)
