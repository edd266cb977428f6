"""Commands of `graphcore` that this pack brings along (entry-point group `graphcore.commands`)."""

from __future__ import annotations

from pathlib import Path

import click

from graphcore.cli.failures import telling_errors


@click.command("convert-checkpoint")
@click.argument("source", metavar="IN", type=click.Path(exists=True, path_type=Path))
@click.argument("target", metavar="OUT", type=click.Path(path_type=Path))
@click.option(
    "--dtype", type=click.Choice(["fp32", "fp16", "bf16"]), help="Store weights so; as they are if not given."
)
@click.option(
    "--prune", is_flag=True, help="Keep only what drawing needs: no averaged copy, no training state."
)
@click.option("--ema", is_flag=True, help="Take the averaged (EMA) weights in place of the last ones.")
@telling_errors
def convert_checkpoint(*, source: Path, target: Path, dtype: str | None, prune: bool, ema: bool) -> None:
    """Turn the model file or folder IN into OUT: a .safetensors file, or a folder in diffusers' layout.

    Pickles (.ckpt, .pt, .pth, .bin) are read without running what is in them; one that needs more than weights is
    refused. Folders become single files, and back, without the loss of a bit.
    """
    from nodes.diffusion.conversion.convert import convert_checkpoint as convert
    from nodes.diffusion.conversion.single_file import Changes

    convert(source, target, Changes(dtype=dtype, prune=prune, ema=ema))
    click.echo(target)
