"""Nodes that change how a model is sampled: what it predicts, and how it is guided. No weight changes."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

from graphcore import Context, InputError, Range, node
from nodes.choices import Share
from nodes.values import (
    FlowShiftOption,
    Model,
    ModelOption,
    PerturbedAttentionOption,
    PredictionOption,
    RescaleOption,
)


@node("ModelSamplingDiscrete", category="advanced/model", title="Model Sampling (Discrete)")
def model_sampling_discrete(
    ctx: Context,
    model: Model,
    sampling: Literal["eps", "v_prediction", "lcm", "x0", "img_to_img"],
    zsnr: bool = False,
) -> Model:
    """Say what a diffusion model predicts, where its file does not tell: noise, v, x0, or noise of a consistency model.

    `zsnr` is for models trained up to noise without any signal (Lin et al. 2023). "img_to_img" is not supported.
    """
    if sampling == "img_to_img":
        raise InputError(
            "Models that turn one picture into another in one step (img_to_img) are not supported; choose another "
            "sampling.",
            code="unsupported-choice",
        )
    return _sampled_so(ctx, model, PredictionOption(prediction=sampling, zero_snr=zsnr))


@node("ModelSamplingSD3", category="advanced/model", title="Model Sampling (SD3)")
def model_sampling_sd3(
    ctx: Context, model: Model, shift: Annotated[float, Range(0.0, 100.0, step=0.01)] = 3.0
) -> Model:
    """Move the time of a rectified flow towards noise: larger pictures want more (Esser et al. 2024, eq. 23)."""
    if not shift:
        raise InputError("A shift of 0 leaves no noise at all; give one above 0.", code="bad-schedule")
    return _sampled_so(ctx, model, FlowShiftOption(shift=shift))


@node("RescaleCFG", category="advanced/model", title="Rescale CFG")
def rescale_cfg(model: Model, multiplier: Share = 0.7) -> Model:
    """Bring the contrast under classifier-free guidance back to that of the positive prediction (Lin et al. 2023)."""
    return _with(model, RescaleOption(multiplier=multiplier))


@node("PerturbedAttentionGuidance", category="model_patches/unet", title="Perturbed-Attention Guidance")
def perturbed_attention_guidance(
    model: Model, scale: Annotated[float, Range(0.0, 100.0, step=0.01, round=0.01)] = 3.0
) -> Model:
    """Lead away from what a UNet predicts without its middle self-attention (Ahn et al. 2024); it costs half a step."""
    return _with(model, PerturbedAttentionOption(scale=scale))


def _sampled_so(ctx: Context, model: Model, option: ModelOption) -> Model:
    """The model with an option, if it is one for its kind; raises InputError if not."""
    from nodes.diffusion.ksampling import parameterization_of

    told = _with(model, option)
    parameterization_of(ctx, told)
    return told


def _with(model: Model, option: ModelOption) -> Model:
    others = tuple(other for other in model.options if type(other) is not type(option))
    return replace(model, options=(*others, option))
