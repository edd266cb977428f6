"""What models that see a picture and no text take of it: CLIP's view, and its latent."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from graphcore.context import Context
from graphcore.errors import ModelFileError
from nodes.control.steering import ClipVision
from nodes.diffusion.clip_vision import vision_encoder
from nodes.diffusion.noise import generator
from nodes.diffusion.picture_batches import resized
from nodes.diffusion.pictures import require_picture
from nodes.diffusion.safetensors_header import read_header
from nodes.diffusion.store import ModelStore
from nodes.diffusion.weights import read_tensor
from nodes.values import Image, Vae

PROJECTION = "cc_projection"
"""Zero123's layer from CLIP's view and the camera to the network's context (Liu et al. 2023)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sized:
    """A size in pixels."""

    width: int
    height: int


def seen_picture(ctx: Context, clip_vision: ClipVision, image: Image) -> Tensor:
    """CLIP's view of pictures, (batch, width)."""
    require_picture(image)
    with vision_encoder(ctx.service(ModelStore), clip_vision) as encoder:
        return encoder.encode(image.pixels).embeds


def encoded_picture(ctx: Context, vae: Vae, image: Image, size: Sized, *, augmentation: float) -> Tensor:
    """The latents of pictures, cut and resized to a size, with so much noise on their pixels."""
    fitted = resized(image, size.width, size.height, "bilinear", crop=True).pixels
    if augmentation:
        fitted = fitted + torch.randn(fitted.shape, generator=generator(0)) * augmentation
    with ctx.service(ModelStore).vae(vae) as codec:
        return codec.encode(fitted).clone()


def projected_view(ctx: Context, clip_vision: ClipVision, view: Tensor) -> Tensor:
    """CLIP's view and the camera (batch, width + 4) as Zero123's context; the layer stands in the encoder's file.

    Raises ModelFileError if it does not, or has another width.
    """
    header = read_header(ctx.service(ModelStore).resolve(clip_vision.file))
    name = f"{PROJECTION}.weight"
    if name not in header.tensors or header.tensors[name].shape[1] != view.shape[-1]:
        raise ModelFileError(
            f"{clip_vision.file.name} holds no camera projection for this image encoder; load a Zero123 file with "
            "ImageOnlyCheckpointLoader and use its own encoder.",
            code="model-file-part",
            location=clip_vision.file.name,
        )
    weight, bias = (read_tensor(header, f"{PROJECTION}.{part}").float() for part in ("weight", "bias"))
    return functional.linear(view, weight, bias)
