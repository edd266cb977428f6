"""Formulas that take the place of plain classifier-free guidance.

`scale` is that of classifier-free guidance everywhere, and with the formula's own numbers at rest each is that.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Self

import torch
from torch import Tensor

from nodes.diffusion.guidance import NEGATIVE, POSITIVE, Branch, Predictions
from nodes.guidance.guidance_options import ScaleCurve
from nodes.values import Guidance

_EPSILON = 1e-8


@dataclass(frozen=True, slots=True, kw_only=True)
class _TwoSided(Guidance):
    scale: float

    def start(self) -> Self:
        return self

    def branches(self, share: float) -> tuple[Branch, ...]:
        return (POSITIVE, NEGATIVE)


@dataclass(frozen=True, slots=True, kw_only=True)
class ZeroStarCfg(_TwoSided):
    """CFG-Zero* (Fan et al. 2025, arXiv 2503.18886, eq. 6): the negative's noise (for flows: velocity) is scaled by
    s* = <positive, negative> / |negative|^2 of each sample before it is guided away from.
    """

    def __call__(self, predictions: Predictions) -> Tensor:
        positive, negative = predictions.noise(POSITIVE), predictions.noise(NEGATIVE)
        dims = tuple(range(1, positive.ndim))
        length = (negative**2).sum(dims, keepdim=True) + _EPSILON
        nearest = negative * ((positive * negative).sum(dims, keepdim=True) / length)
        return predictions.x - predictions.sigma * (nearest + self.scale * (positive - nearest))


@dataclass(frozen=True, slots=True, kw_only=True)
class MahiroCfg(_TwoSided):
    """Mahiro (Yoinky 2024): between plain guidance and the scaled positive, by how alike their directions are."""

    def __call__(self, predictions: Predictions) -> Tensor:
        positive, negative = predictions[POSITIVE], predictions[NEGATIVE]
        guided = negative + self.scale * (positive - negative)
        leap = positive * self.scale
        alike = torch.nn.functional.cosine_similarity(
            _signed_root(negative * self.scale), _signed_root((leap + guided) / 2)
        ).mean()
        weight = 2 * (alike + 1)
        return (weight * guided + (4 - weight) * leap) / 4


def _signed_root(values: Tensor) -> Tensor:
    return values.abs().sqrt() * values.sign()


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectedCfg(Guidance):
    """Adaptive projected guidance (Sadat et al. 2024, arXiv 2410.02416, algorithm 1).

    What guidance adds is averaged over steps by `momentum`, held to `norm_threshold` (0: not), and of its part along
    the positive prediction only `eta` counts, since that part makes colours glaring.
    """

    scale: float
    eta: float = 1.0
    norm_threshold: float = 0.0
    momentum: float = 0.0

    def start(self) -> _ProjectedGuide:
        return _ProjectedGuide(self)


@dataclass(slots=True)
class _ProjectedGuide:
    guidance: ProjectedCfg
    _average: Tensor | None = field(default=None)

    def branches(self, share: float) -> tuple[Branch, ...]:
        return (POSITIVE, NEGATIVE)

    def __call__(self, predictions: Predictions) -> Tensor:
        positive = predictions[POSITIVE]
        added = positive - predictions[NEGATIVE]
        if self.guidance.momentum and self._average is not None:
            added = added + self.guidance.momentum * self._average
        self._average = added
        dims = tuple(range(1, added.ndim))
        if self.guidance.norm_threshold > 0:
            length = torch.linalg.vector_norm(added, dim=dims, keepdim=True)
            added = added * (self.guidance.norm_threshold / length.clamp_min(_EPSILON)).clamp_max(1.0)
        square = (positive**2).sum(dims, keepdim=True).clamp_min(_EPSILON)
        along = (added * positive).sum(dims, keepdim=True) / square * positive
        return positive + (self.guidance.scale - 1) * (added - along + self.guidance.eta * along)


@dataclass(frozen=True, slots=True, kw_only=True)
class ThresholdedCfg(_TwoSided):
    """CFG whose extremes are those of a smaller scale (after Saharia et al. 2022, "Imagen", section 2.3).

    Values beyond the `percentile` of the guided prediction are cut off, and the rest is shrunk to the reach that
    guidance with `mimic_scale` has, or by `deviation` to its standard deviation; in each channel or over all, around
    their mean or around 0. `mix` is how much of this is taken, and the rest of plain guidance. Scales follow their
    curves over the run.
    """

    mimic_scale: float = 7.0
    percentile: float = 1.0
    mimic_curve: ScaleCurve = ScaleCurve()
    scale_curve: ScaleCurve = ScaleCurve()
    per_channel: bool = True
    around_mean: bool = True
    deviation: bool = False
    mix: float = 1.0

    def __call__(self, predictions: Predictions) -> Tensor:
        positive, negative = predictions[POSITIVE], predictions[NEGATIVE]
        scale = scale_at(self.scale, self.scale_curve, predictions.share)
        mimic_scale = scale_at(self.mimic_scale, self.mimic_curve, predictions.share)
        guided = negative + scale * (positive - negative)
        if scale == mimic_scale:
            return guided
        mimic = self._flat(negative + mimic_scale * (positive - negative))
        flat = self._flat(guided)
        mean = flat.mean(-1, keepdim=True) if self.around_mean else torch.zeros_like(flat[..., :1])
        mimic_mean = mimic.mean(-1, keepdim=True) if self.around_mean else torch.zeros_like(mean)
        centred, mimic = flat - mean, mimic - mimic_mean
        if self.deviation:
            wanted, held = mimic.std(-1, keepdim=True), centred.std(-1, keepdim=True).clamp_min(_EPSILON)
            result = centred / held * wanted
        else:
            wanted = mimic.abs().amax(-1, keepdim=True)
            limit = torch.maximum(wanted, _quantile(centred.abs(), self.percentile)).clamp_min(_EPSILON)
            result = centred.clamp(-limit, limit) / limit * wanted
        return torch.lerp(guided, (result + mean).reshape(guided.shape), self.mix)

    def _flat(self, values: Tensor) -> Tensor:
        return values.flatten(2) if self.per_channel else values.flatten(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class LengthLimitedCfg(_TwoSided):
    """CFG below the sigma `below`, and the positive itself from there on up; its result is at most `limit` as long
    as the positive (0: of any length), sample by sample (Qin et al. 2025, arXiv 2503.21758, "CFG-Trunc", "CFG-Renorm").
    """

    below: float
    limit: float

    def __call__(self, predictions: Predictions) -> Tensor:
        positive, negative = predictions[POSITIVE], predictions[NEGATIVE]
        if float(predictions.sigma) >= self.below:
            return positive
        guided = negative + self.scale * (positive - negative)
        if self.limit <= 0:
            return guided
        dims = tuple(range(1, guided.ndim))
        longest = torch.linalg.vector_norm(positive, dim=dims, keepdim=True) * self.limit
        length = torch.linalg.vector_norm(guided, dim=dims, keepdim=True).clamp_min(_EPSILON)
        factor: Tensor = (longest / length).clamp_max(1.0)
        return guided * factor


def _quantile(values: Tensor, share: float) -> Tensor:
    """The value below which a share of each row lies, interpolated; rows may be of any length."""
    place = share * (values.shape[-1] - 1)
    low = torch.kthvalue(values, math.floor(place) + 1, dim=-1, keepdim=True).values
    high = torch.kthvalue(values, math.ceil(place) + 1, dim=-1, keepdim=True).values
    return torch.lerp(low, high, place - math.floor(place))


def scale_at(scale: float, curve: ScaleCurve, share: float) -> float:
    """A scale at a share of the run: between the curve's lowest value and the scale itself."""
    rest = (share * curve.value) % 1
    factors: dict[str, float] = {
        "Constant": 1.0,
        "Linear Down": 1 - share,
        "Cosine Down": math.cos(share * math.pi / 2),
        "Half Cosine Down": math.cos(share),
        "Linear Up": share,
        "Cosine Up": 1 - math.cos(share * math.pi / 2),
        "Half Cosine Up": 1 - math.cos(share),
        "Power Up": share**curve.value,
        "Power Down": 1 - share**curve.value,
        "Linear Repeating": abs(0.5 - rest) * 2,
        "Cosine Repeating": math.cos(share * 2 * math.pi * curve.value) / 2 + 0.5,
        "Sawtooth": rest,
    }
    return (scale - curve.lowest) * factors[curve.mode] + curve.lowest
