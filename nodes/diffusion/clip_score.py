"""How well texts describe pictures, as CLIP sees both (Hessel et al. 2021, "CLIPScore")."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from graphcore.errors import InputError, ModelFileError
from nodes.control.steering import ClipVision
from nodes.diffusion.clip_vision import vision_encoder
from nodes.diffusion.store import ModelStore
from nodes.values import Clip


def similarities(
    store: ModelStore, vision: ClipVision, clip: Clip | None, pixels: Tensor, text: str
) -> tuple[float, ...]:
    """The cosine of each picture (batch, height, width, 3) with a text.

    Without `clip`, the text encoder is that of the image encoder's own file. Raises InputError if there is none, or if
    the two do not belong together.
    """
    chosen = _own_text_encoder(store, vision) if clip is None else clip
    with store.text_encoder(chosen) as encoder:
        read = encoder.encode(text).pooled
    with vision_encoder(store, vision) as eyes:
        seen = eyes.encode(pixels).embeds
    if read is None or read.shape[-1] != seen.shape[-1]:
        width = "none" if read is None else str(read.shape[-1])
        raise InputError(
            f"The text's vector ({width}) and the picture's ({seen.shape[-1]}) are not of one size; give the text "
            "encoder that the image encoder was trained with, or one file that holds both.",
            code="wrong-family",
        )
    return tuple(torch.clamp(functional.cosine_similarity(seen, read, dim=1), -1, 1).tolist())


def _own_text_encoder(store: ModelStore, vision: ClipVision) -> Clip:
    try:
        part = store.checkpoint(vision.file).parts.get("text")
    except ModelFileError:
        part = None
    if part is None or "projection_dim" not in part.config:
        raise InputError(
            f"'{vision.file.name}' holds no text encoder with its projection; connect clip, or choose a file with the "
            "whole of CLIP.",
            code="no-text-encoder",
        )
    return Clip(files=(vision.file,))
