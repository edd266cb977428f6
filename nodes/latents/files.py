"""Nodes that read and write latents, in ComfyUI's `.latent` files."""

from __future__ import annotations

from typing import Annotated

from graphcore import Context, FileChoice, InputError, node
from nodes.output_files import OutputNames
from nodes.values import Latent


@node("SaveLatent", category="latent", title="Save Latent", output=True)
def save_latent(
    ctx: Context,
    samples: Latent,
    filename_prefix: str = "latents/ComfyUI",
) -> None:
    """Write latents into the output folder, with the workflow unless metadata is off.

    The noise mask is not part of the file.
    """
    from nodes.diffusion.latent_file import latent_bytes
    from nodes.diffusion.latents import CELL

    height, width = (side * CELL for side in samples.samples.shape[-2:])
    names = OutputNames(folder=ctx.files.output_dir, prefix=filename_prefix, suffix=".latent")
    saved = names.write(
        latent_bytes(samples.samples, ctx.picture_texts()), {"width": width, "height": height}
    )
    ctx.show("latents", {"filename": saved.filename, "subfolder": saved.subfolder, "type": "output"})


@node("LoadLatent", category="latent", title="Load Latent")
def load_latent(ctx: Context, latent: Annotated[str, FileChoice("input")]) -> Latent:
    """Read a `.latent` file from the input folder (`name [output]` reads from the output folder)."""
    from nodes.diffusion.latent_file import read_latent

    path = ctx.files.resolve_media(latent)
    if path.suffix.lower() not in (".latent", ".safetensors"):
        raise InputError(
            f"'{latent}' is no .latent file; choose one.", code="bad-latent-file", location=latent
        )
    return Latent(read_latent(path))
