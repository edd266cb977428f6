"""Nodes that change how a model is sampled: what it predicts, and how it is guided. No weight changes."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Annotated, Literal

from graphcore import Context, InputError, Range, node
from nodes.choices import MAX_SIDE, Share
from nodes.guidance.guidance_options import ComputeDtypeOption
from nodes.guidance.network_options import ContinuousOption
from nodes.values import (
    FlowShiftOption,
    Model,
    ModelOption,
    PerturbedAttentionOption,
    PredictionOption,
    RescaleOption,
)

Sigma = Annotated[float, Range(0.0, 1000.0, step=0.001)]


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
    return with_option(model, RescaleOption(multiplier=multiplier))


@node("PerturbedAttentionGuidance", category="model_patches/unet", title="Perturbed-Attention Guidance")
def perturbed_attention_guidance(
    model: Model, scale: Annotated[float, Range(0.0, 100.0, step=0.01, round=0.01)] = 3.0
) -> Model:
    """Lead away from what a UNet predicts without its middle self-attention (Ahn et al. 2024); it costs half a step."""
    return with_option(model, PerturbedAttentionOption(scale=scale))


@node("ModelSamplingAuraFlow", category="advanced/model", title="Model Sampling (AuraFlow)")
def model_sampling_aura_flow(
    ctx: Context, model: Model, shift: Annotated[float, Range(0.0, 100.0, step=0.01)] = 1.73
) -> Model:
    """The same as Model Sampling (SD3), with another usual shift; time stays in the model's own unit."""
    return model_sampling_sd3(ctx, model, shift)


@node("ModelSamplingFlux", category="advanced/model", title="Model Sampling (Flux)")
def model_sampling_flux(
    ctx: Context,
    model: Model,
    max_shift: Annotated[float, Range(0.0, 100.0, step=0.01)] = 1.15,
    base_shift: Annotated[float, Range(0.0, 100.0, step=0.01)] = 0.5,
    width: Annotated[int, Range(16, MAX_SIDE, step=8)] = 1024,
    height: Annotated[int, Range(16, MAX_SIDE, step=8)] = 1024,
) -> Model:
    """Move the time of a rectified flow by the picture's size: the logarithm of the shift is linear in its tokens.

    `base_shift` is for 256 tokens of 16 x 16 pixels, `max_shift` for 4096 (a picture of 1024 x 1024).
    """
    tokens = width * height / 16**2
    logarithm = base_shift + (max_shift - base_shift) * (tokens - 256) / (4096 - 256)
    if not -20 < logarithm < 20:
        raise InputError(
            "These shifts are too far apart for this size; bring them together.", code="bad-schedule"
        )
    return _sampled_so(ctx, model, FlowShiftOption(shift=math.exp(logarithm)))


@node("ModelSamplingContinuousEDM", category="advanced/model", title="Model Sampling (Continuous EDM)")
def model_sampling_continuous_edm(
    ctx: Context,
    model: Model,
    sampling: Literal["v_prediction", "edm", "edm_playground_v2.5", "eps", "cosmos_rflow"],
    sigma_max: Sigma = 120.0,
    sigma_min: Sigma = 0.002,
) -> Model:
    """Say that a model was trained on continuous sigmas (Karras et al. 2022), and between which.

    "edm" is with their preconditioning. Playground v2.5 has latents of its own, which its checkpoint tells; another
    model cannot be sampled as it. Cosmos is not supported.
    """
    if sampling == "cosmos_rflow" or (sampling == "edm_playground_v2.5" and not _is_normalized(ctx, model)):
        raise InputError(
            f"'{sampling}' is for a family that is not supported or not this model's; choose edm, v_prediction or eps.",
            code="unsupported-choice",
        )
    prediction = "edm" if sampling == "edm_playground_v2.5" else sampling
    return _between(
        ctx, model, ContinuousOption(prediction=prediction, sigma_max=sigma_max, sigma_min=sigma_min)
    )


def _is_normalized(ctx: Context, model: Model) -> bool:
    """Whether the channels of a model's latents have means of their own."""
    from nodes.diffusion.store import ModelStore

    latent = ctx.service(ModelStore).checkpoint(model.file).latent_format
    return latent is not None and bool(latent.means)


@node("ModelSamplingContinuousV", category="advanced/model", title="Model Sampling (Continuous V)")
def model_sampling_continuous_v(
    ctx: Context,
    model: Model,
    sampling: Literal["v_prediction"],
    sigma_max: Sigma = 500.0,
    sigma_min: Sigma = 0.03,
) -> Model:
    """Say that a model predicts v and was trained on continuous angles (Salimans & Ho 2022)."""
    option = ContinuousOption(prediction=sampling, sigma_max=sigma_max, sigma_min=sigma_min, cosine=True)
    return _between(ctx, model, option)


@node("ModelComputeDtype", category="advanced/debug/model", title="Compute Dtype")
def model_compute_dtype(model: Model, dtype: Literal["default", "fp32", "fp16", "bf16"]) -> Model:
    """Compute with this model in another dtype than the engine's; its weights are held in that one then."""
    return with_option(model, ComputeDtypeOption(dtype=dtype))


def _between(ctx: Context, model: Model, option: ContinuousOption) -> Model:
    if not 0 < option.sigma_min < option.sigma_max:
        raise InputError(
            f"The sigmas go from {option.sigma_max} down to {option.sigma_min}; let the first be the larger, and both "
            "above 0.",
            code="bad-schedule",
        )
    return _sampled_so(ctx, model, option)


def _sampled_so(ctx: Context, model: Model, option: ModelOption) -> Model:
    """The model with an option, if it is one for its kind; raises InputError if not."""
    from nodes.diffusion.ksampling import parameterization_of

    told = with_option(model, option)
    parameterization_of(ctx, told)
    return told


def with_option(model: Model, option: ModelOption) -> Model:
    """The model with an option; one of its kind that it had gives way."""
    others = tuple(other for other in model.options if type(other) is not type(option))
    return replace(model, options=(*others, option))
