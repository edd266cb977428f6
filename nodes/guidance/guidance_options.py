"""What nodes say of how a model is guided, beside what its guider says. Of two of one kind the later holds.

Those that are formulas take the place of plain classifier-free guidance, the last one of them alone; the others are put
around whatever guidance there is, in the order in which they were added.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from graphcore.sockets import socket
from nodes.values import Conditioning, ModelOption


@dataclass(frozen=True, slots=True, kw_only=True)
class FormulaOption(ModelOption):
    """Base of what takes the place of plain classifier-free guidance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ZeroStarOption(FormulaOption):
    """CFG-Zero*: the negative is scaled to be nearest to the positive."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MahiroOption(FormulaOption):
    """Mahiro: the more the two sides agree, the more the positive alone counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectedOption(FormulaOption):
    """Adaptive projected guidance: how much along the positive, how long at most, and how much of earlier steps."""

    eta: float
    norm_threshold: float
    momentum: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LengthLimitOption(FormulaOption):
    """Below a sigma the guided prediction is at most so many times as long as the positive one; above, plain."""

    below: float
    limit: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PerpNegOption(FormulaOption):
    """Perp-Neg: of the negative, only what is perpendicular to the positive, both seen from an empty text."""

    empty: Conditioning
    neg_scale: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameScaleOption(FormulaOption):
    """A scale that changes over the batch, for the frames of a video."""

    min_scale: float
    shape: Literal["linear", "triangle"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleCurve:
    """A scale over the run: its shape, its lowest value, and the number that some shapes take."""

    mode: str = "Constant"
    lowest: float = 0.0
    value: float = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ThresholdOption(FormulaOption):
    """Dynamic thresholding: extremes are held to those of a smaller scale."""

    mimic_scale: float
    percentile: float
    mimic_curve: ScaleCurve = ScaleCurve()
    scale_curve: ScaleCurve = ScaleCurve()
    per_channel: bool = True
    around_mean: bool = True
    deviation: bool = False
    mix: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TangentialOption(ModelOption):
    """Tangential damping: of the negative, only what both sides share counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NormLimitOption(ModelOption):
    """The guided prediction is nowhere longer than the positive one, times a strength."""

    strength: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FrequencyOption(ModelOption):
    """What guidance adds has its coarse and its fine part scaled; `cutoff` cells around the middle are coarse."""

    low: float
    high: float
    cutoff: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseScaleOption(ModelOption):
    """The predicted noise is divided by this."""

    factor: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreScaleOption(ModelOption):
    """Temporal score rescaling: the predicted noise is that of data of the variance sigma^2 / k."""

    k: float
    sigma: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfAttentionOption(ModelOption):
    """Self-attention guidance: away from what is seen where attention is blurred."""

    scale: float
    blur_sigma: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SkipLayersOption(ModelOption):
    """Skip-layer guidance: away from what the network predicts without some layers, in a part of the run.

    `in_negative`: the negative alone is predicted without them. `rescale` brings contrast back, as RescaleCFG does.
    """

    layers: tuple[int, ...]
    scale: float
    start: float
    end: float
    rescale: float = 0.0
    in_negative: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DifferentialOption(ModelOption):
    """A grey mask says when each place begins to change: white from the start, grey later."""

    strength: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StepReuseOption(ModelOption):
    """Predictions are used again where they change by less than a threshold, in a part of the run."""

    threshold: float
    start: float
    end: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ComputeDtypeOption(ModelOption):
    """In which dtype this model computes: "fp32", "fp16" or "bf16"."""

    dtype: str


@socket("LATENT_OPERATION")
@dataclass(frozen=True, slots=True, kw_only=True)
class LatentOperation:
    """Something done to a latent: its name, and its numbers."""

    name: Literal["tonemap-reinhard", "sharpen"]
    numbers: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationOption(ModelOption):
    """A latent operation, done at each step to what guidance adds to the negative."""

    operation: LatentOperation
