"""What the options of a model do to its sampling: to its parameterization, and to guidance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, Final, TypeVar

from graphcore.errors import InputError
from nodes.diffusion.guidance import Cfg, FrameCfg, Guided, PerpNeg, Perturbed, RescaledCfg
from nodes.diffusion.guidance_formulas import (
    LengthLimitedCfg,
    MahiroCfg,
    ProjectedCfg,
    ThresholdedCfg,
    ZeroStarCfg,
)
from nodes.diffusion.guidance_wrappers import (
    ContrastKept,
    FrequencyScaled,
    NegativeSkipping,
    NoiseScaled,
    NormLimited,
    Operated,
    ScoreRescaled,
    TangentiallyDamped,
    Wrapped,
)
from nodes.diffusion.parameterization import (
    ContinuousCosine,
    ContinuousEdm,
    DiscreteDiffusion,
    LatentConsistency,
    Parameterization,
    Prediction,
    RectifiedFlow,
    evenly_rising_betas,
)
from nodes.diffusion.self_attention_guidance import SelfAttentionGuided
from nodes.diffusion.step_reuse import StepReuse
from nodes.guidance.guidance_options import (
    ComputeDtypeOption,
    DifferentialOption,
    FormulaOption,
    FrameScaleOption,
    FrequencyOption,
    LengthLimitOption,
    MahiroOption,
    NoiseScaleOption,
    NormLimitOption,
    OperationOption,
    PerpNegOption,
    ProjectedOption,
    ScoreScaleOption,
    SelfAttentionOption,
    SkipLayersOption,
    StepReuseOption,
    TangentialOption,
    ThresholdOption,
    ZeroStarOption,
)
from nodes.guidance.network_options import ContinuousOption
from nodes.values import (
    Conditioning,
    FlowShiftOption,
    Guidance,
    GuidanceFunctions,
    ModelOption,
    PerturbedAttentionOption,
    PredictionOption,
    RescaleOption,
)
from nodes.video.context_options import ContextOption
from nodes.video.motion_options import MotionOption

_PREDICTIONS: dict[str, Prediction] = {"eps": "epsilon", "v_prediction": "v_prediction", "x0": "sample"}
_WRAPPERS: Final[Mapping[type[ModelOption], type[Wrapped]]] = {
    TangentialOption: TangentiallyDamped,
    NormLimitOption: NormLimited,
    FrequencyOption: FrequencyScaled,
    NoiseScaleOption: NoiseScaled,
    ScoreScaleOption: ScoreRescaled,
    OperationOption: Operated,
}
"""Options that are wrapped around a guidance with the very numbers that they hold."""
EDM_SIGMA_DATA = 0.5
"""The deviation of the data that EDM networks are made for (Karras et al. 2022, table 1)."""
OptionT = TypeVar("OptionT", bound=ModelOption)


def reparameterized(parameterization: Parameterization, options: Sequence[ModelOption]) -> Parameterization:
    """The parameterization as the options say.

    Raises InputError for an option that is meant for another kind of model.
    """
    chosen = _last(options, PredictionOption)
    if chosen is not None:
        parameterization = _predicting(parameterization, chosen)
    motion = _last(options, MotionOption)
    if motion is not None and motion.linear_betas and isinstance(parameterization, DiscreteDiffusion):
        parameterization = replace(parameterization, betas=evenly_rising_betas())
    continuous = _last(options, ContinuousOption)
    if continuous is not None:
        parameterization = _continuous(parameterization, continuous)
    flow = _last(options, FlowShiftOption)
    if flow is not None:
        if not isinstance(parameterization, RectifiedFlow):
            raise InputError(
                "A shift is for rectified flows (SD3), and this model is none; take the node away.",
                code="unsupported-choice",
            )
        parameterization = replace(parameterization, shift=flow.shift)
    return parameterization


def _predicting(parameterization: Parameterization, chosen: PredictionOption) -> Parameterization:
    if not isinstance(parameterization, (DiscreteDiffusion, LatentConsistency)):
        raise InputError(
            f"A prediction of '{chosen.prediction}' is for diffusion models with discrete timesteps, and this model is "
            "none; take the node away.",
            code="unsupported-choice",
        )
    betas = parameterization.betas
    if chosen.prediction == "lcm":
        return LatentConsistency(betas=betas, zero_snr=chosen.zero_snr)
    return DiscreteDiffusion(
        betas=betas, prediction=_PREDICTIONS[chosen.prediction], zero_snr=chosen.zero_snr
    )


def _continuous(parameterization: Parameterization, chosen: ContinuousOption) -> Parameterization:
    if isinstance(parameterization, RectifiedFlow):
        raise InputError(
            "Continuous sigmas are for diffusion models, and this one is a rectified flow; take the node away.",
            code="unsupported-choice",
        )
    low, high = chosen.sigma_min, chosen.sigma_max
    if chosen.cosine:
        return ContinuousCosine(sigma_min=low, sigma_max=high)
    if chosen.prediction == "edm":
        return ContinuousEdm(sigma_min=low, sigma_max=high, preconditioned=True, sigma_data=EDM_SIGMA_DATA)
    return ContinuousEdm(sigma_min=low, sigma_max=high, prediction=_PREDICTIONS[chosen.prediction])


def reguided(guidance: Guidance, options: Sequence[ModelOption]) -> Guidance:
    """The guidance as the options say.

    Of those that are formulas the last takes the place of plain classifier-free guidance, and of that alone; the
    others are put around it in their order.
    """
    formulas = [option for option in options if isinstance(option, (FormulaOption, RescaleOption))]
    if formulas and isinstance(guidance, Cfg):
        guidance = _formula(guidance.scale, formulas[-1])
    for option in options:
        guidance = _around(guidance, option)
    return guidance


def _formula(scale: float, option: FormulaOption | RescaleOption) -> Guidance:
    match option:
        case RescaleOption():
            return RescaledCfg(scale=scale, multiplier=option.multiplier)
        case ZeroStarOption():
            return ZeroStarCfg(scale=scale)
        case MahiroOption():
            return MahiroCfg(scale=scale)
        case ProjectedOption():
            return ProjectedCfg(scale=scale, **_numbers(option))
        case FrameScaleOption():
            return FrameCfg(scale=scale, min_scale=option.min_scale, shape=option.shape)
        case LengthLimitOption():
            return LengthLimitedCfg(scale=scale, **_numbers(option))
        case PerpNegOption():
            return PerpNeg(scale=scale, neg_scale=option.neg_scale)
        case ThresholdOption():
            return ThresholdedCfg(scale=scale, **_numbers(option))
    return Cfg(scale=scale)


def _around(guidance: Guidance, option: ModelOption) -> Guidance:
    match option:
        case PerturbedAttentionOption() if option.scale:
            return Perturbed(base=guidance, perturbation="pag:mid", scale=option.scale)
        case SelfAttentionOption() if option.scale:
            return SelfAttentionGuided(base=guidance, scale=option.scale, blur_sigma=option.blur_sigma)
        case SkipLayersOption() if option.layers:
            return _skipping(guidance, option)
        case GuidanceFunctions() if option.acts:
            return Guided(base=guidance, functions=option)
    wrapper = _WRAPPERS.get(type(option))
    return guidance if wrapper is None else wrapper(base=guidance, **_numbers(option))


def _skipping(guidance: Guidance, option: SkipLayersOption) -> Guidance:
    perturbation = "skip:" + ",".join(str(layer) for layer in option.layers)
    if option.in_negative:
        return NegativeSkipping(
            base=guidance, perturbation=perturbation, start_share=option.start, end_share=option.end
        )
    guided = Perturbed(
        base=guidance,
        perturbation=perturbation,
        scale=option.scale,
        start_share=option.start,
        end_share=option.end,
    )
    return ContrastKept(base=guided, share=option.rescale) if option.rescale else guided


def mask_strength(options: Sequence[ModelOption]) -> float | None:
    """How much a grey mask says when its places begin to change; None: grey is a mixture."""
    option = _last(options, DifferentialOption)
    return None if option is None else option.strength


def further_conditionings(options: Sequence[ModelOption]) -> dict[str, Conditioning]:
    """The conditionings that options bring along, by the names that guidance knows them by."""
    option = _last(options, PerpNegOption)
    return {} if option is None else {"empty": option.empty}


def context_windows(options: Sequence[ModelOption]) -> ContextOption | None:
    """The windows that a long video is predicted in."""
    return _last(options, ContextOption)


def step_reuse(options: Sequence[ModelOption]) -> StepReuse | None:
    """A memory of predictions for one run, if they are to be used again."""
    option = _last(options, StepReuseOption)
    return None if option is None else StepReuse(**_numbers(option))


def compute_dtype(options: Sequence[ModelOption]) -> str | None:
    """The dtype that a model was told to compute in."""
    option = _last(options, ComputeDtypeOption)
    return None if option is None else option.dtype


def _numbers(option: ModelOption) -> dict[str, Any]:
    return {entry.name: getattr(option, entry.name) for entry in fields(option)}


def _last(options: Sequence[ModelOption], kind: type[OptionT]) -> OptionT | None:
    return next((option for option in reversed(options) if isinstance(option, kind)), None)
