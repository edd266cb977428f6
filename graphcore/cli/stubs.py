"""`graphcore stubs`: a typed stub of the builder for the installed nodes."""

from __future__ import annotations

from pathlib import Path

import click

from graphcore.cli.failures import telling_errors
from graphcore.cli.options import installed_nodes, output_option, write_text
from graphcore.stubs import builder_stub


@click.command()
@output_option
@click.option(
    "--install", is_flag=True, help="Write it beside the installed builder, where every editor finds it."
)
@telling_errors
def stubs(*, output: Path | None, install: bool) -> None:
    """Print a typed stub of the builder: editors then complete nodes, inputs and outputs.

    Run it again after a node pack was installed.
    """
    if install and output is not None:
        raise click.UsageError("--install and --output name two places; give one of them.")
    if install:
        from graphcore import builder

        output = Path(builder.__file__).with_suffix(".pyi")
    write_text(builder_stub(installed_nodes()).rstrip("\n"), output)
    if install:
        click.echo(f"wrote {output}", err=True)
