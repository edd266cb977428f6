"""Nodes that change the guided prediction: how long it may be, how much noise it takes away, where negatives point."""

from __future__ import annotations

from typing import Annotated

from graphcore import Range, node
from nodes.guidance.guidance_options import LengthLimitOption, PerpNegOption, ScoreScaleOption
from nodes.guidance.model_guidance import PatchedModel
from nodes.guidance.model_sampling import with_option
from nodes.values import Conditioning, Model

Positive = Annotated[float, Range(0.01, 100.0, step=0.001)]


@node("RenormCFG", category="advanced/model", title="Renormalize CFG")
def renorm_cfg(
    model: Model,
    cfg_trunc: Annotated[float, Range(0.0, 100.0, step=0.01)] = 100.0,
    renorm_cfg: Annotated[float, Range(0.0, 100.0, step=0.01)] = 1.0,
) -> Model:
    """Hold the guided prediction to `renorm_cfg` times the length of the positive one (Qin et al. 2025).

    Guidance acts only where sigma is below `cfg_trunc`; with `renorm_cfg` 0 any length is allowed.
    """
    return with_option(model, LengthLimitOption(below=cfg_trunc, limit=renorm_cfg))


@node("TemporalScoreRescaling", category="model_patches/unet", title="Temporal Score Rescaling (TSR)")
def temporal_score_rescaling(model: Model, tsr_k: Positive = 0.95, tsr_sigma: Positive = 1.0) -> PatchedModel:
    """Sharpen or soften the distribution that is sampled from (arXiv 2510.01184).

    A `tsr_k` below 1 gives more detail, one above 1 smoother pictures, 1 changes nothing; with a larger `tsr_sigma` it
    acts earlier.
    """
    return with_option(model, ScoreScaleOption(k=tsr_k, sigma=tsr_sigma))


@node("PerpNeg", category="_for_testing", title="Perp-Neg", deprecated=True, experimental=True)
def perp_neg(
    model: Model,
    empty_conditioning: Conditioning,
    neg_scale: Annotated[float, Range(0.0, 100.0, step=0.01)] = 1.0,
) -> Model:
    """Let only that part of the negative act that is perpendicular to the positive (Armandpour et al. 2023).

    `empty_conditioning` is that of an empty prompt. PerpNegGuider does the same as a guider.
    """
    return with_option(model, PerpNegOption(empty=empty_conditioning, neg_scale=neg_scale))
