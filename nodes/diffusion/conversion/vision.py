"""CLIP image encoders as tensors of a model's single file."""

from __future__ import annotations

from typing import Final

from torch import Tensor

from graphcore import Context
from nodes.control.steering import ClipVision
from nodes.diffusion.clip_vision import open_vision, vision_encoder
from nodes.diffusion.conversion.saving import in_dtype_of_file
from nodes.diffusion.families import Family
from nodes.diffusion.layouts import clip_vision
from nodes.diffusion.layouts.rules import to_original
from nodes.diffusion.picture_conditioning import PROJECTION
from nodes.diffusion.safetensors_header import read_header
from nodes.diffusion.store import ModelStore
from nodes.diffusion.weights import read_tensor

_VIDEO: Final = "conditioner.embedders.0.open_clip.model.visual."
_OTHERS: Final = "cond_stage_model.model.visual."


def vision_state(ctx: Context, value: ClipVision, family: Family) -> dict[str, Tensor]:
    """An image encoder's tensors where single files of a family have them, in OpenCLIP's layout.

    Zero123's camera projection goes along if it stands in the encoder's file.
    """
    store = ctx.service(ModelStore)
    part = store.opened(value.file, open_vision)
    prefix = _VIDEO if family.network == "video_unet" else _OTHERS
    with vision_encoder(store, value) as encoder:
        state = in_dtype_of_file(part, encoder.module.state_dict())
        found = to_original(state, clip_vision.rules("openclip", state))
    header = read_header(part.path)
    projection = {
        name: read_tensor(header, name)
        for name in (f"{PROJECTION}.weight", f"{PROJECTION}.bias")
        if name in header.tensors
    }
    return {f"{prefix}{name}": tensor for name, tensor in found.items()} | projection
