"""Nodes that bring the style of pictures into a prompt."""

from __future__ import annotations

from typing import Annotated, Literal

from graphcore import Context, FileChoice, InputError, Range, node
from nodes.control.steering import ClipVisionOutput, StyleModel
from nodes.models.loaders import file_ref
from nodes.values import Conditioning


@node("LoadStyleModel", category="loaders", title="Load Style Model", aliases=("StyleModelLoader",))
def load_style_model(
    ctx: Context, style_model_name: Annotated[str, FileChoice("style_models")]
) -> StyleModel:
    """Load a style adapter of T2I-Adapter, for SD 1.x."""
    from nodes.diffusion.store import ModelStore
    from nodes.diffusion.style_model import open_style_model

    file = file_ref(ctx, "style_models", style_model_name)
    ctx.service(ModelStore).opened(file, open_style_model)
    return StyleModel(file=file)


@node("StyleModelApply", category="conditioning/style_model", title="Apply Style Model")
def style_model_apply(
    ctx: Context,
    *,
    conditioning: Conditioning,
    style_model: StyleModel,
    clip_vision_output: ClipVisionOutput,
    strength: Annotated[float, Range(0.0, 10.0, step=0.001)] = 1.0,
    strength_type: Literal["multiply", "attn_bias"],
) -> Conditioning:
    """Put what CLIP saw of pictures' style behind the text, as further tokens, multiplied by `strength`.

    `attn_bias` is for Flux; here it is the same as `multiply` at a strength of 1, and refused at others.
    """
    from nodes.diffusion.store import ModelStore
    from nodes.diffusion.style_model import styled

    if strength_type == "attn_bias" and strength != 1:
        raise InputError(
            "The strength type attn_bias works with Flux only; set strength_type to multiply.",
            code="unsupported-choice",
            location="strength_type",
        )
    return styled(ctx.service(ModelStore), conditioning, style_model, clip_vision_output, strength)
