"""Nodes that change how a model is guided. No weight changes; the guider, or KSampler, does the rest."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal

from graphcore import InputError, OutputName, Range, node
from nodes.choices import Share
from nodes.guidance.guidance_options import (
    DifferentialOption,
    FrameScaleOption,
    FrequencyOption,
    LatentOperation,
    MahiroOption,
    NoiseScaleOption,
    NormLimitOption,
    OperationOption,
    ProjectedOption,
    ScaleCurve,
    SelfAttentionOption,
    SkipLayersOption,
    TangentialOption,
    ThresholdOption,
    ZeroStarOption,
)
from nodes.guidance.model_sampling import with_option
from nodes.values import Latent, Model

PatchedModel = Annotated[Model, OutputName("patched_model")]
Percent = Annotated[float, Range(0.0, 1.0, step=0.001)]
LayerScale = Annotated[float, Range(0.0, 10.0, step=0.1)]
FrameScale = Annotated[float, Range(0.0, 100.0, step=0.5, round=0.01)]
Threshold = Annotated[float, Range(0.0, 100.0, step=0.5)]
Curve = Literal[
    "Constant",
    "Linear Down",
    "Cosine Down",
    "Half Cosine Down",
    "Linear Up",
    "Cosine Up",
    "Half Cosine Up",
    "Power Up",
    "Power Down",
    "Linear Repeating",
    "Cosine Repeating",
    "Sawtooth",
]
_LAYER: Final = re.compile(r"\d{1,3}")


@node("SelfAttentionGuidance", category="model_patches/unet", title="Self-Attention Guidance")
def self_attention_guidance(
    model: Model,
    scale: Annotated[float, Range(-2.0, 5.0, step=0.01)] = 0.5,
    blur_sigma: Annotated[float, Range(0.0, 10.0, step=0.1)] = 2.0,
) -> Model:
    """Lead away from what a UNet sees where it attends, blurred (Hong et al. 2022); it costs one more pass a step."""
    return with_option(model, SelfAttentionOption(scale=scale, blur_sigma=blur_sigma))


@node("SkipLayerGuidanceSD3", category="advanced/guidance", title="Skip-Layer Guidance (SD3)")
def skip_layer_guidance_sd3(
    model: Model,
    layers: str = "7, 8, 9",
    scale: LayerScale = 3.0,
    start_percent: Percent = 0.01,
    end_percent: Percent = 0.15,
) -> Model:
    """Lead away from what SD 3.5 predicts without some of its layers, early in the run; bodies come out better.

    `layers` are numbers with commas between them; none changes nothing.
    """
    skipped = SkipLayersOption(layers=_layers(layers), scale=scale, start=start_percent, end=end_percent)
    return with_option(model, skipped) if skipped.layers else model


@node("SkipLayerGuidanceDiT", category="advanced/guidance", title="Skip-Layer Guidance")
def skip_layer_guidance(
    model: Model,
    double_layers: str = "7, 8, 9",
    single_layers: str = "7, 8, 9",
    scale: LayerScale = 3.0,
    start_percent: Percent = 0.01,
    end_percent: Percent = 0.15,
    rescaling_scale: Annotated[float, Range(0.0, 10.0, step=0.01)] = 0.0,
) -> Model:
    """Skip-layer guidance, with the contrast brought back by `rescaling_scale`.

    SD 3's layers are all of the kind that reads picture and text (`double_layers`); it has no others.
    """
    del single_layers
    skipped = SkipLayersOption(
        layers=_layers(double_layers),
        scale=scale,
        start=start_percent,
        end=end_percent,
        rescale=rescaling_scale,
    )
    return with_option(model, skipped) if skipped.layers else model


@node("SkipLayerGuidanceDiTSimple", category="advanced/guidance", title="Skip-Layer Guidance (Simple)")
def skip_layer_guidance_simple(
    model: Model,
    double_layers: str = "7, 8, 9",
    single_layers: str = "7, 8, 9",
    start_percent: Percent = 0.0,
    end_percent: Percent = 1.0,
) -> Model:
    """Predict the negative without some layers; it costs no further pass."""
    del single_layers
    skipped = SkipLayersOption(
        layers=_layers(double_layers), scale=0.0, start=start_percent, end=end_percent, in_negative=True
    )
    return with_option(model, skipped) if skipped.layers else model


@node("CFGZeroStar", category="advanced/guidance", title="CFG-Zero*")
def cfg_zero_star(model: Model) -> PatchedModel:
    """Scale the negative to be nearest to the positive before guiding away from it (Fan et al. 2025)."""
    return with_option(model, ZeroStarOption())


@node("TCFG", category="advanced/guidance", title="Tangential Damping CFG")
def tangential_damping(model: Model) -> PatchedModel:
    """Of the negative, keep only the direction that both sides share (Kwon et al. 2025)."""
    return with_option(model, TangentialOption())


@node("CFGNorm", category="advanced/guidance", title="CFG Norm")
def cfg_norm(model: Model, strength: Annotated[float, Range(0.0, 100.0, step=0.01)] = 1.0) -> PatchedModel:
    """Hold the guided prediction to the length of the positive one, place by place."""
    return with_option(model, NormLimitOption(strength=strength))


@node("Mahiro", category="advanced/guidance", title="Mahiro CFG")
def mahiro(model: Model) -> PatchedModel:
    """The more both sides agree, the more the positive counts by itself."""
    return with_option(model, MahiroOption())


@node("APG", category="advanced/guidance", title="Adaptive Projected Guidance")
def adaptive_projected_guidance(
    model: Model,
    eta: Annotated[float, Range(-10.0, 10.0, step=0.01)] = 1.0,
    norm_threshold: Annotated[float, Range(0.0, 50.0, step=0.1)] = 5.0,
    momentum: Annotated[float, Range(-5.0, 1.0, step=0.01)] = 0.0,
) -> Model:
    """Guide at high scales without glaring colours (Sadat et al. 2024).

    `eta` is how much counts along the positive, `norm_threshold` the longest step (0: any), `momentum` what is kept of
    earlier steps.
    """
    return with_option(model, ProjectedOption(eta=eta, norm_threshold=norm_threshold, momentum=momentum))


@node("VideoLinearCFGGuidance", category="sampling/video_models", title="Linear CFG over Frames")
def video_linear_cfg(model: Model, min_cfg: FrameScale = 1.0) -> Model:
    """Let the scale rise over the frames from `min_cfg` at the first to the sampler's at the last."""
    return with_option(model, FrameScaleOption(min_scale=min_cfg, shape="linear"))


@node("VideoTriangleCFGGuidance", category="sampling/video_models", title="Triangular CFG over Frames")
def video_triangle_cfg(model: Model, min_cfg: FrameScale = 1.0) -> Model:
    """Let the scale rise from `min_cfg` at the first frame to the sampler's in the middle, and fall back."""
    return with_option(model, FrameScaleOption(min_scale=min_cfg, shape="triangle"))


@node("DynamicThresholdingSimple", category="advanced/guidance", title="Dynamic Thresholding (Simple)")
def dynamic_thresholding_simple(
    model: Model, mimic_scale: Threshold = 7.0, threshold_percentile: Share = 1.0
) -> Model:
    """Guide at a high scale with the reach of a lower one (after Saharia et al. 2022, "Imagen")."""
    return with_option(model, ThresholdOption(mimic_scale=mimic_scale, percentile=threshold_percentile))


@node("DynamicThresholdingFull", category="advanced/guidance", title="Dynamic Thresholding (Full)")
def dynamic_thresholding_full(
    *,
    model: Model,
    mimic_scale: Threshold = 7.0,
    threshold_percentile: Share = 1.0,
    mimic_mode: Curve = "Constant",
    mimic_scale_min: Threshold = 0.0,
    cfg_mode: Curve = "Constant",
    cfg_scale_min: Threshold = 0.0,
    sched_val: Threshold = 4.0,
    separate_feature_channels: Literal["enable", "disable"] = "enable",
    scaling_startpoint: Literal["MEAN", "ZERO"] = "MEAN",
    variability_measure: Literal["AD", "STD"] = "AD",
    interpolate_phi: Share = 1.0,
) -> Model:
    """Dynamic thresholding with all its choices: how both scales change over the run, and how reach is measured.

    "AD" measures by the largest deviation, "STD" by the standard one; `interpolate_phi` is how much of it is taken.
    """
    option = ThresholdOption(
        mimic_scale=mimic_scale,
        percentile=threshold_percentile,
        mimic_curve=ScaleCurve(mode=mimic_mode, lowest=mimic_scale_min, value=sched_val),
        scale_curve=ScaleCurve(mode=cfg_mode, lowest=cfg_scale_min, value=sched_val),
        per_channel=separate_feature_channels == "enable",
        around_mean=scaling_startpoint == "MEAN",
        deviation=variability_measure == "STD",
        mix=interpolate_phi,
    )
    return with_option(model, option)


@node("EpsilonScaling", category="model_patches/unet", title="Epsilon Scaling", aliases=("Epsilon Scaling",))
def epsilon_scaling(
    model: Model, scaling_factor: Annotated[float, Range(0.5, 1.5, step=0.001)] = 1.005
) -> Model:
    """Divide the predicted noise by a number, against the drift that steps build up (Ning et al. 2023)."""
    return with_option(model, NoiseScaleOption(factor=scaling_factor))


@node("FreSca", category="advanced/guidance", title="FreSca")
def fre_sca(
    model: Model,
    scale_low: Annotated[float, Range(0.0, 10.0, step=0.01)] = 1.0,
    scale_high: Annotated[float, Range(0.0, 10.0, step=0.01)] = 1.25,
    freq_cutoff: Annotated[int, Range(1, 10000, step=1)] = 20,
) -> Model:
    """Scale the coarse and the fine part of what guidance adds (Huang et al. 2025); fine is beyond `freq_cutoff`."""
    return with_option(model, FrequencyOption(low=scale_low, high=scale_high, cutoff=freq_cutoff))


@node("DifferentialDiffusion", category="advanced/guidance", title="Differential Diffusion")
def differential_diffusion(model: Model, strength: Share = 1.0) -> Model:
    """Let a grey noise mask say when each place begins to change: white from the start, grey later, black never.

    See Levin & Fried 2023. `strength` is how much of this there is beside the mask as a mixture.
    """
    return with_option(model, DifferentialOption(strength=strength))


@node("LatentOperationTonemapReinhard", category="latent/advanced/operations", title="Tonemap (Reinhard)")
def tonemap_reinhard(multiplier: Annotated[float, Range(0.0, 100.0, step=0.01)] = 1.0) -> LatentOperation:
    """Press the largest values of a latent together (Reinhard et al. 2002)."""
    return LatentOperation(name="tonemap-reinhard", numbers=(multiplier,))


@node("LatentOperationSharpen", category="latent/advanced/operations", title="Sharpen Latent")
def sharpen_latent(
    sharpen_radius: Annotated[int, Range(1, 31, step=1)] = 9,
    sigma: Annotated[float, Range(0.1, 10.0, step=0.1)] = 1.0,
    alpha: Annotated[float, Range(0.0, 5.0, step=0.01)] = 0.1,
) -> LatentOperation:
    """Sharpen a latent by an unsharp mask."""
    return LatentOperation(name="sharpen", numbers=(float(sharpen_radius), sigma, alpha))


@node("LatentApplyOperation", category="latent/advanced/operations", title="Apply Latent Operation")
def latent_apply_operation(samples: Latent, operation: LatentOperation) -> Latent:
    """Do an operation, such as sharpening, to a latent once; Apply Latent Operation in CFG does it at each step."""
    from dataclasses import replace

    from nodes.diffusion.latent_operations import operated

    return replace(samples, samples=operated(samples.samples, operation))


@node("LatentApplyOperationCFG", category="latent/advanced/operations", title="Apply Latent Operation in CFG")
def latent_apply_operation_cfg(model: Model, operation: LatentOperation) -> Model:
    """Do an operation at each step to what the positive adds to the negative."""
    return with_option(model, OperationOption(operation=operation))


def _layers(text: str) -> tuple[int, ...]:
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not all(_LAYER.fullmatch(word) for word in words):
        raise InputError(
            f"'{text[:60]}' is no list of layers; write numbers with commas between them, as in 7, 8, 9.",
            code="bad-list",
        )
    return tuple(sorted({int(word) for word in words}))
