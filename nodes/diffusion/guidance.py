"""Guidance: how several predictions of the denoised latent become one.

A guidance is a value (how strong, which kind). A run starts it and gets a `Guide`, which says which
predictions it wants at a sigma and combines them. Predictions are named by branch: a conditioning, and what
is done to the network's attention while it is predicted. All are of x0; noise is (x - x0) / sigma where a
formula needs it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol, Self

import torch
from torch import Tensor

from nodes.values import Guidance, GuidanceFunctions


@dataclass(frozen=True, slots=True)
class Branch:
    """One prediction: under the conditioning of this name, with this perturbation of the network's attention."""

    conditioning: str
    perturbation: str | None = None


POSITIVE = Branch("positive")
NEGATIVE = Branch("negative")
MIDDLE = Branch("middle")
EMPTY = Branch("empty")
UNSAFE = Branch("unsafe")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Predictions:
    """All that guidance may look at.

    `x` and the predictions of x0, by branch, are (batch, channels, height, width); `sigma` is 0-d.
    `share` is how much of the range of timesteps is done: 0 at pure noise, 1 at the end. `flow` says that x is
    (1 - sigma) x0 + sigma noise, and not x0 + sigma noise. `again` predicts branches for
    another x at this sigma. `attention` (batch, tokens) is how much each place of the middle block was attended to,
    for branches with the perturbation "map:mid".
    """

    x: Tensor
    sigma: Tensor
    step: int
    share: float
    denoised: Mapping[Branch, Tensor]
    flow: bool = False
    again: Callable[[Tensor, Sequence[Branch]], Mapping[Branch, Tensor]] | None = None
    attention: Mapping[Branch, Tensor] = field(default_factory=dict)

    def __getitem__(self, branch: Branch) -> Tensor:
        return self.denoised[branch]

    def noise(self, branch: Branch) -> Tensor:
        """The noise that a branch sees in x."""
        return (self.x - self.denoised[branch]) / self.sigma


class Guide(Protocol):
    """Guidance at work in one run. It may remember earlier steps."""

    def branches(self, share: float) -> tuple[Branch, ...]:
        """The predictions that are wanted, the guided one first."""
        ...

    def __call__(self, predictions: Predictions) -> Tensor:
        """The one prediction that the sampler is sent."""
        ...


class StartableGuidance(Protocol):
    """What the driver asks of a guidance value."""

    def start(self) -> Guide: ...


def _towards(base: Tensor, target: Tensor, scale: float | Tensor) -> Tensor:
    return base + (target - base) * scale


@dataclass(frozen=True, slots=True, kw_only=True)
class Unguided(Guidance):
    """The positive prediction as it is."""

    def start(self) -> Self:
        return self

    def branches(self, share: float) -> tuple[Branch, ...]:
        return (POSITIVE,)

    def __call__(self, predictions: Predictions) -> Tensor:
        return predictions[POSITIVE]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cfg(Guidance):
    """Classifier-free guidance (Ho & Salimans 2022): negative + scale * (positive - negative).

    A scale of 1 asks for no negative prediction at all.
    """

    scale: float

    def start(self) -> Self:
        return self

    def branches(self, share: float) -> tuple[Branch, ...]:
        return (POSITIVE,) if math.isclose(self.scale, 1.0) else (POSITIVE, NEGATIVE)

    def __call__(self, predictions: Predictions) -> Tensor:
        if NEGATIVE not in predictions.denoised or math.isclose(self.scale, 1.0):
            return predictions[POSITIVE]
        return _towards(predictions[NEGATIVE], predictions[POSITIVE], self.scale)


@dataclass(frozen=True, slots=True, kw_only=True)
class RescaledCfg(Guidance):
    """CFG whose contrast is brought back to that of the positive prediction (Lin et al. 2023, eq. 15-16).

    The formula is for v; `multiplier` is its phi.
    """

    scale: float
    multiplier: float = 0.7

    def start(self) -> Self:
        return self

    def branches(self, share: float) -> tuple[Branch, ...]:
        return (POSITIVE, NEGATIVE)

    def __call__(self, predictions: Predictions) -> Tensor:
        sigma = predictions.sigma
        span = (sigma**2 + 1) ** 0.5
        base = predictions.x / (sigma**2 + 1)
        positive = (base - predictions[POSITIVE]) * span / sigma
        negative = (base - predictions[NEGATIVE]) * span / sigma
        guided = _towards(negative, positive, self.scale)
        dims = tuple(range(1, guided.ndim))
        rescaled = guided * (positive.std(dims, keepdim=True) / guided.std(dims, keepdim=True))
        velocity = self.multiplier * rescaled + (1 - self.multiplier) * guided
        return base - velocity * sigma / span


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameCfg(Guidance):
    """CFG whose scale changes over the batch, for the frames of a video (Blattmann et al. 2023, "SVD").

    "linear" goes from min_scale at the first frame to scale at the last; "triangle" from min_scale up to
    scale in the middle and back.
    """

    scale: float
    min_scale: float = 1.0
    shape: Literal["linear", "triangle"] = "linear"

    def start(self) -> Self:
        return self

    def branches(self, share: float) -> tuple[Branch, ...]:
        return (POSITIVE, NEGATIVE)

    def __call__(self, predictions: Predictions) -> Tensor:
        positive = predictions[POSITIVE]
        place = torch.linspace(0, 1, len(positive), device=positive.device, dtype=positive.dtype)
        if self.shape == "triangle":
            place = 2 * (place - (place + 0.5).floor()).abs()
        scale = (place * (self.scale - self.min_scale) + self.min_scale).reshape(-1, 1, 1, 1)
        return _towards(predictions[NEGATIVE], positive, scale)


@dataclass(frozen=True, slots=True, kw_only=True)
class DualCfg(Guidance):
    """Guidance with two positives (Brooks et al. 2023, "InstructPix2Pix", eq. 3): `positive` beside `middle`.

    Regular: from negative to middle by `middle_scale`, then along positive - middle by `scale`. Nested: from
    middle to positive by `scale`, and from negative to that by `middle_scale`.
    """

    scale: float
    middle_scale: float
    nested: bool = False

    def start(self) -> Self:
        return self

    def branches(self, share: float) -> tuple[Branch, ...]:
        return (POSITIVE, MIDDLE, NEGATIVE)

    def __call__(self, predictions: Predictions) -> Tensor:
        positive, middle = predictions[POSITIVE], predictions[MIDDLE]
        negative = predictions[NEGATIVE]
        if self.nested:
            return _towards(negative, _towards(middle, positive, self.scale), self.middle_scale)
        return _towards(negative, middle, self.middle_scale) + (positive - middle) * self.scale


@dataclass(frozen=True, slots=True, kw_only=True)
class PerpNeg(Guidance):
    """Of the negative, only what is perpendicular to the positive acts (Armandpour et al. 2023, eq. 6).

    Needs the conditioning "empty" beside the two. Each sample is projected by itself.
    """

    scale: float
    neg_scale: float = 1.0

    def start(self) -> Self:
        return self

    def branches(self, share: float) -> tuple[Branch, ...]:
        return (POSITIVE, NEGATIVE, EMPTY)

    def __call__(self, predictions: Predictions) -> Tensor:
        empty = predictions[EMPTY]
        positive, negative = predictions[POSITIVE] - empty, predictions[NEGATIVE] - empty
        dims = tuple(range(1, positive.ndim))
        along = (negative * positive).sum(dims, keepdim=True) / (positive**2).sum(dims, keepdim=True)
        across = negative - along * positive
        return empty + self.scale * (positive - self.neg_scale * across)


@dataclass(frozen=True, slots=True, kw_only=True)
class Perturbed(Guidance):
    """Any guidance, and away from what a perturbed network predicts: + scale * (positive - perturbed).

    `perturbation` "pag:mid" is perturbed attention guidance (Ahn et al. 2024, eq. 16), "skip:7,8,9"
    skip-layer guidance of SD3. It acts between `start_share` and `end_share` of the schedule.
    """

    base: Guidance
    perturbation: str = "pag:mid"
    scale: float = 3.0
    start_share: float = 0.0
    end_share: float = 1.0

    def start(self) -> Guide:
        return _PerturbedGuide(self, started(self.base))


@dataclass(frozen=True, slots=True)
class _PerturbedGuide:
    guidance: Perturbed
    base: Guide

    def _branch(self, share: float) -> Branch | None:
        active = self.guidance.start_share <= share <= self.guidance.end_share
        return Branch("positive", self.guidance.perturbation) if active and self.guidance.scale else None

    def branches(self, share: float) -> tuple[Branch, ...]:
        branch = self._branch(share)
        return self.base.branches(share) + (() if branch is None else (branch,))

    def __call__(self, predictions: Predictions) -> Tensor:
        result = self.base(predictions)
        branch = self._branch(predictions.share)
        if branch is None:
            return result
        return result + (predictions[POSITIVE] - predictions[branch]) * self.guidance.scale


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Guided(Guidance):
    """Any guidance, with functions of other people's nodes before, in the place of, and after it."""

    base: Guidance
    functions: GuidanceFunctions

    def start(self) -> Guide:
        return _GuidedGuide(self.functions, started(self.base), float(getattr(self.base, "scale", 1.0)))


@dataclass(frozen=True, slots=True, eq=False)
class _GuidedGuide:
    functions: GuidanceFunctions
    base: Guide
    scale: float

    def branches(self, share: float) -> tuple[Branch, ...]:
        wanted = self.base.branches(share)
        return wanted if NEGATIVE in wanted or not self.functions.always_both else (*wanted, NEGATIVE)

    def __call__(self, predictions: Predictions) -> Tensor:
        for function in self.functions.before:
            pair = function({**self._facts(predictions), "conds_out": list(_pair(predictions))})
            changed = dict(zip((POSITIVE, NEGATIVE), pair, strict=False))
            predictions = replace(predictions, denoised={**predictions.denoised, **changed})
        positive, negative = _pair(predictions)
        facts = {**self._facts(predictions), "cond_denoised": positive, "uncond_denoised": negative}
        if self.functions.combine is None:
            result = self.base(predictions)
        else:
            x = predictions.x
            result = x - self.functions.combine({**facts, "cond": x - positive, "uncond": x - negative})
        for function in self.functions.after:
            result = function({**facts, "denoised": result, "cond": None, "uncond": None})
        return result

    def _facts(self, predictions: Predictions) -> dict[str, Any]:
        sigma = predictions.sigma.reshape(-1).expand(len(predictions.x)).to(predictions.x)
        return {
            "input": predictions.x,
            "sigma": sigma,
            "timestep": sigma,
            "cond_scale": self.scale,
            "model_options": self.functions.options,
            "model": self.functions.options.get("model"),
        }


def _pair(predictions: Predictions) -> tuple[Tensor, Tensor]:
    """The positive and the negative prediction; zeros for one that was not made."""
    positive = predictions[POSITIVE]
    negative = predictions.denoised.get(NEGATIVE)
    return positive, torch.zeros_like(positive) if negative is None else negative


def started(guidance: Guidance) -> Guide:
    """The guide of a guidance value, for one run.

    Raises TypeError for a value that has no `start` method.
    """
    start = getattr(guidance, "start", None)
    if start is None:
        raise TypeError(f"{type(guidance).__name__} is not a guidance that can be started")
    guide: Guide = start()
    return guide
