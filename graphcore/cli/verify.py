"""`graphcore verify`: makes a picture again and compares it with what it claims to be; reads its credentials."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import click

from graphcore.cli.data_folder import data_folder, data_option
from graphcore.cli.failures import telling_errors
from graphcore.cli.options import folder_options, folder_settings, installed_nodes, json_option
from graphcore.cli.terminal import visible
from graphcore.engine import Engine
from graphcore.errors import ResourceError
from graphcore.formats.pictures import read_metadata
from graphcore.provenance.credentials import CREATED, Credentials, read_credentials
from graphcore.provenance.verify import Verdict, read_record, verify_picture


@click.command()
@click.argument("picture", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@folder_options
@data_option
@click.option("--device", default=None, help="As `graphcore run`; the record's own if not given.")
@click.option("--dtype", default=None, type=click.Choice(["auto", "fp32", "bf16", "fp16"]))
@json_option
@telling_errors
def verify(
    *,
    picture: Path,
    models_dirs: tuple[Path, ...],
    extra_model_paths: tuple[Path, ...],
    input_dir: Path,
    data_dir: Path | None,
    device: str | None,
    dtype: str | None,
    as_json: bool,
) -> int:
    """Run the workflow in PICTURE again and say whether the pixels are the same.

    If they are not, or a file, a version or the device is not the one of the record, says which and by how much. Where
    the picture carries content credentials (C2PA), says who signed it and whether it was changed since; of a picture
    without a run record, that is all that is looked at. Exit code 0 for the same pixels and unbroken credentials,
    1 otherwise.
    """
    data = picture.read_bytes()
    credentials = _credentials_of(data)
    if credentials is not None and read_metadata(data).graphcore_record is None:
        return _tell(None, credentials, as_json=as_json)
    past = read_record(data).get("environment", {})
    settings = replace(
        folder_settings(models_dirs, extra_model_paths, input_dir),
        data_dir=data_folder(data_dir),
        device=device or str(past.get("device", "auto")),
        dtype=dtype or str(past.get("dtype", "auto")),
        deterministic=past.get("deterministic") == "True",
    )
    with Engine(installed_nodes(), settings=settings) as engine:
        verdict = verify_picture(picture, engine)
    return _tell(verdict, credentials, as_json=as_json)


def _credentials_of(data: bytes) -> Credentials | None:
    """The picture's credentials; without the library for them, None and a warning."""
    try:
        return read_credentials(data)
    except ResourceError as error:
        click.echo(f"{click.style('warning:', fg='yellow', bold=True)} {error.message}", err=True)
        return None


def _tell(verdict: Verdict | None, credentials: Credentials | None, *, as_json: bool) -> int:
    if as_json:
        said = {} if verdict is None else verdict.as_json()
        if credentials is not None:
            said["credentials"] = credentials.as_json()
        click.echo(json.dumps(said, indent=2))
    else:
        lines = [] if verdict is None else _lines(verdict)
        lines += [] if credentials is None else _credential_lines(credentials)
        click.echo("\n".join(lines))
    whole = credentials is None or credentials.state == "valid"
    return 0 if whole and (verdict is None or verdict.same) else 1


def _credential_lines(credentials: Credentials) -> list[str]:
    who = (
        credentials.signer
        if credentials.trusted
        else f"{credentials.signer} (no known authority vouches for it)"
    )
    if credentials.state == "changed":
        head = click.style("credentials: changed since it was signed", fg="red", bold=True)
        return [head + visible(f" by {who}"), *(visible(f"  {problem}") for problem in credentials.problems)]
    head = click.style("credentials: unchanged since it was signed", fg="green", bold=True)
    made = (
        "a trained algorithm" if credentials.source_type == CREATED else credentials.source_type or "unsaid"
    )
    return [head + visible(f" by {who}"), visible(f"  made by {made}, with {credentials.generator}")]


def _lines(verdict: Verdict) -> list[str]:
    if verdict.same:
        lines = [click.style("the same pixels", fg="green", bold=True)]
    elif verdict.problem is not None:
        lines = [click.style(f"not the same: {verdict.problem}", fg="red", bold=True)]
    else:
        lines = [
            click.style("other pixels", fg="red", bold=True)
            + f": {100 * (verdict.share or 0):.2f} % differ, by {verdict.mean:.2f} grey levels on average, "
            f"{verdict.largest} at most"
        ]
    for difference in verdict.differences:
        lines.append(visible(f"  {difference.what}: was {difference.then}, is {difference.now}"))
    return lines
