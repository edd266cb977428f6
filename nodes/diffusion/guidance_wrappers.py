"""What is put around a guidance: something done to the predictions before it, or to its result after it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from nodes.diffusion.guidance import NEGATIVE, POSITIVE, Branch, Guide, Predictions, started
from nodes.diffusion.latent_operations import operated
from nodes.guidance.guidance_options import LatentOperation
from nodes.values import Guidance

_EPSILON = 1e-8


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrapped(Guidance):
    """A guidance around another. Subclasses say what is done before and after."""

    base: Guidance

    def start(self) -> Guide:
        return _WrappedGuide(self, started(self.base))

    def before(self, predictions: Predictions) -> Predictions:
        """What the inner guidance is shown."""
        return predictions

    def after(self, predictions: Predictions, guided: Tensor) -> Tensor:
        """What becomes of its result; `predictions` are those that it was shown."""
        return guided


@dataclass(frozen=True, slots=True)
class _WrappedGuide:
    wrapping: Wrapped
    base: Guide

    def branches(self, share: float) -> tuple[Branch, ...]:
        return self.base.branches(share)

    def __call__(self, predictions: Predictions) -> Tensor:
        shown = self.wrapping.before(predictions)
        return self.wrapping.after(shown, self.base(shown))


@dataclass(frozen=True, slots=True, kw_only=True)
class TangentiallyDamped(Wrapped):
    """Of the negative's noise only the part along the direction that both sides share most is kept: the first right
    singular vector of the two (Kwon et al. 2025, arXiv 2503.18137, "TCFG").
    """

    def before(self, predictions: Predictions) -> Predictions:
        if NEGATIVE not in predictions.denoised:
            return predictions
        x = predictions.x
        sides = torch.stack([x - predictions[NEGATIVE], x - predictions[POSITIVE]], dim=1).flatten(2).float()
        shared = torch.linalg.svd(sides, full_matrices=False).Vh[:, :1]
        kept = (sides[:, :1] @ shared.mT) * shared
        negative = x - kept.reshape(x.shape).to(x.dtype)
        return replace(predictions, denoised={**predictions.denoised, NEGATIVE: negative})


@dataclass(frozen=True, slots=True, kw_only=True)
class Operated(Wrapped):
    """A latent operation on the positive, as it stands over the negative where there is one."""

    operation: LatentOperation

    def before(self, predictions: Predictions) -> Predictions:
        negative = predictions.denoised.get(NEGATIVE)
        positive = predictions[POSITIVE]
        if negative is None:
            changed = operated(positive, self.operation)
        else:
            changed = operated(positive - negative, self.operation) + negative
        return replace(predictions, denoised={**predictions.denoised, POSITIVE: changed})


@dataclass(frozen=True, slots=True, kw_only=True)
class FrequencyScaled(Wrapped):
    """What the positive adds to the negative, with its frequencies below `cutoff` times `low` and the others times
    `high` (Huang et al. 2025, arXiv 2504.02154, "FreSca").
    """

    low: float = 1.0
    high: float = 1.25
    cutoff: int = 20

    def before(self, predictions: Predictions) -> Predictions:
        negative = predictions.denoised.get(NEGATIVE)
        if negative is None:
            return predictions
        added = predictions[POSITIVE] - negative
        spectrum = torch.fft.fftshift(torch.fft.fftn(added.float(), dim=(-2, -1)), dim=(-2, -1))
        height, width = added.shape[-2:]
        down, across = min(self.cutoff, height // 2), min(self.cutoff, width // 2)
        factors = torch.full((height, width), self.high, device=added.device)
        middle = factors[height // 2 - down : height // 2 + down, width // 2 - across : width // 2 + across]
        middle.fill_(self.low)
        scaled = torch.fft.ifftn(torch.fft.ifftshift(spectrum * factors, dim=(-2, -1)), dim=(-2, -1)).real
        changed = negative + scaled.to(negative.dtype)
        return replace(predictions, denoised={**predictions.denoised, POSITIVE: changed})


@dataclass(frozen=True, slots=True, kw_only=True)
class NormLimited(Wrapped):
    """The guided prediction is nowhere longer (over channels) than the positive one, times `strength`."""

    strength: float = 1.0

    def after(self, predictions: Predictions, guided: Tensor) -> Tensor:
        wanted = predictions[POSITIVE].norm(dim=1, keepdim=True)
        factor: Tensor = (wanted / (guided.norm(dim=1, keepdim=True) + _EPSILON)).clamp(0, 1)
        return guided * factor * self.strength


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseScaled(Wrapped):
    """The noise that is taken away is divided by `factor`, against the drift between training and sampling (Ning et
    al. 2023, arXiv 2308.15321, "Epsilon Scaling").
    """

    factor: float = 1.0

    def after(self, predictions: Predictions, guided: Tensor) -> Tensor:
        return predictions.x - (predictions.x - guided) / self.factor


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreRescaled(Wrapped):
    """The noise that is taken away is scaled by (snr s^2 + 1) / (snr s^2 / k + 1): that of data with the deviation s
    (`sigma`) becomes that of data with the variance s^2 / k (arXiv 2510.01184, "Temporal Score Rescaling", eq. 6).

    snr is the power of the signal in x over that of its noise.
    """

    k: float
    sigma: float

    def after(self, predictions: Predictions, guided: Tensor) -> Tensor:
        noise = float(predictions.sigma)
        signal = 1 - noise if predictions.flow else 1.0
        if signal <= 0 or noise <= 0:
            return guided
        power = (signal / noise * self.sigma) ** 2
        factor = (power + 1) / (power / self.k + 1)
        return predictions.x / signal + (guided - predictions.x / signal) * factor


@dataclass(frozen=True, slots=True, kw_only=True)
class ContrastKept(Wrapped):
    """The result's contrast is brought back to that of the positive prediction, by `share` (after Lin et al. 2023)."""

    share: float

    def after(self, predictions: Predictions, guided: Tensor) -> Tensor:
        factor = predictions[POSITIVE].std() / guided.std()
        return guided * (self.share * factor + 1 - self.share)


@dataclass(frozen=True, slots=True, kw_only=True)
class NegativeSkipping(Guidance):
    """The negative is predicted with a perturbed network, between two shares of the schedule."""

    base: Guidance
    perturbation: str
    start_share: float = 0.0
    end_share: float = 1.0

    def start(self) -> Guide:
        return _NegativeSkippingGuide(self, started(self.base))


@dataclass(frozen=True, slots=True)
class _NegativeSkippingGuide:
    guidance: NegativeSkipping
    base: Guide

    def _negative(self, share: float) -> Branch:
        active = self.guidance.start_share <= share <= self.guidance.end_share
        return Branch("negative", self.guidance.perturbation) if active else NEGATIVE

    def branches(self, share: float) -> tuple[Branch, ...]:
        negative = self._negative(share)
        return tuple(negative if branch == NEGATIVE else branch for branch in self.base.branches(share))

    def __call__(self, predictions: Predictions) -> Tensor:
        negative = self._negative(predictions.share)
        if negative not in predictions.denoised:
            return self.base(predictions)
        denoised = {**predictions.denoised, NEGATIVE: predictions[negative]}
        return self.base(replace(predictions, denoised=denoised))
