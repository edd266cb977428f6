"""A decoder for previews: TAESD, where its file for the model's latents is among `vae_approx`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from graphcore.context import Context
from graphcore.errors import ModelFileError
from nodes.diffusion.network import LatentFormat
from nodes.diffusion.part import Part
from nodes.diffusion.safetensors_header import read_header
from nodes.diffusion.store import ModelStore
from nodes.diffusion.tiny_vae import TinyVaeCodec, open_tiny_vae, preview_name
from nodes.diffusion.weights import load

PreviewDecoder = Callable[[Tensor], Tensor]
"""From one scaled latent (channels, height, width) to a picture (height, width, 3) in [0, 1] on the CPU."""


def preview_decoder(ctx: Context, latent: LatentFormat, stack: ExitStack) -> PreviewDecoder | None:
    """A decoder for previews of these latents, kept until `stack` closes.

    None where nobody looks, the settings want the matrix, or there is no file; a file that cannot be used is told.
    """
    path = _file(ctx, latent)
    if path is None:
        return None
    store = ctx.service(ModelStore)
    try:
        part = _decoder_part(path)
        key = ("preview", ctx.files.fingerprint(path))
        module = stack.enter_context(store.companion(key, lambda: load(part)))
    except ModelFileError as error:
        ctx.show("warning", {"text": f"Previews are rough: {error.message}"})
        return None
    codec = TinyVaeCodec(module, store.precision)
    return lambda denoised: codec.decode(latent.unscaled(denoised.float())[None])[0]


def _file(ctx: Context, latent: LatentFormat) -> Path | None:
    name = preview_name(latent)
    if not ctx.previews or name is None or ctx.settings.preview_method == "latent2rgb":
        return None
    return ctx.files.find("vae_approx", f"{name}_decoder.safetensors")


def _decoder_part(path: Path) -> Part:
    part = open_tiny_vae(read_header(path), {})
    if part is None or "decoder" not in part.config["sides"]:
        raise ModelFileError(
            f"{path.name} is no decoder of TAESD; get the file again, or remove it.",
            code="model-file-family",
            location=path.name,
        )
    return replace(part, name="preview", config={**part.config, "sides": ["decoder"]})
