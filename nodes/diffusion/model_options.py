"""What the options of a model do to its sampling: to its parameterization, and to guidance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from graphcore.errors import InputError
from nodes.diffusion.guidance import Cfg, Guided, Perturbed, RescaledCfg
from nodes.diffusion.parameterization import (
    DiscreteDiffusion,
    LatentConsistency,
    Parameterization,
    Prediction,
    RectifiedFlow,
)
from nodes.values import (
    FlowShiftOption,
    Guidance,
    GuidanceFunctions,
    ModelOption,
    PerturbedAttentionOption,
    PredictionOption,
    RescaleOption,
)

_PREDICTIONS: dict[str, Prediction] = {"eps": "epsilon", "v_prediction": "v_prediction", "x0": "sample"}
OptionT = TypeVar("OptionT", bound=ModelOption)


def reparameterized(parameterization: Parameterization, options: Sequence[ModelOption]) -> Parameterization:
    """The parameterization as the options say.

    Raises InputError for an option that is meant for another kind of model.
    """
    chosen = _last(options, PredictionOption)
    if chosen is not None:
        parameterization = _predicting(parameterization, chosen)
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


def reguided(guidance: Guidance, options: Sequence[ModelOption]) -> Guidance:
    """The guidance as the options say; only plain classifier-free guidance can be rescaled."""
    rescale = _last(options, RescaleOption)
    if rescale is not None and isinstance(guidance, Cfg):
        guidance = RescaledCfg(scale=guidance.scale, multiplier=rescale.multiplier)
    perturbed = _last(options, PerturbedAttentionOption)
    if perturbed is not None and perturbed.scale:
        guidance = Perturbed(base=guidance, perturbation="pag:mid", scale=perturbed.scale)
    functions = _last(options, GuidanceFunctions)
    if functions is not None and functions.acts:
        guidance = Guided(base=guidance, functions=functions)
    return guidance


def _last(options: Sequence[ModelOption], kind: type[OptionT]) -> OptionT | None:
    return next((option for option in reversed(options) if isinstance(option, kind)), None)
