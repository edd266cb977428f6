"""Nodes that enlarge pictures with networks made for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from graphcore import Context, FileChoice, node
from graphcore.sockets import socket
from nodes.models.loaders import file_ref
from nodes.values import FileRef, Image


@socket("UPSCALE_MODEL")
@dataclass(frozen=True, slots=True, kw_only=True)
class UpscaleModel:
    """A network that enlarges pictures, by reference."""

    file: FileRef


@node("LoadUpscaleModel", category="loaders", title="Load Upscale Model", aliases=("UpscaleModelLoader",))
def load_upscale_model(
    ctx: Context, model_name: Annotated[str, FileChoice("upscale_models")]
) -> UpscaleModel:
    """Load a network that enlarges or mends pictures: ESRGAN, Real-ESRGAN, its compact form, SwinIR, HAT, DAT, DRCT,
    Omni-SR, SPAN, PLKSR or RealPLKSR.

    Pickled ones (.pth) are refused; `graphcore convert-checkpoint old.pth new.safetensors` makes them safe.
    """
    from nodes.diffusion.store import ModelStore
    from nodes.diffusion.upscalers import open_upscaler

    file = file_ref(ctx, "upscale_models", model_name)
    ctx.service(ModelStore).opened(file, open_upscaler)
    return UpscaleModel(file=file)


@node(
    "UpscaleImageWithModel",
    category="image/upscaling",
    title="Upscale Image (using Model)",
    aliases=("ImageUpscaleWithModel",),
)
def upscale_image_with_model(ctx: Context, upscale_model: UpscaleModel, image: Image) -> Image:
    """Enlarge pictures as much as the model does, tile by tile, whatever their size."""
    from nodes.diffusion.precision import Precision
    from nodes.diffusion.store import ModelStore
    from nodes.diffusion.upscalers import open_upscaler, upscaled

    store = ctx.service(ModelStore)
    opened = store.opened(upscale_model.file, open_upscaler)
    chosen = store.precision if opened.design.half else store.vae_precision
    precision = Precision(dtype=chosen.dtype)
    with store.companion(("upscaler", upscale_model.file), opened.load, precision=precision) as network:
        pixels = upscaled(
            network,
            opened.scale,
            image.pixels,
            device=store.device,
            precision=precision,
            tile=opened.design.tile,
            progress=ctx.progress,
        )
    return Image(pixels)
