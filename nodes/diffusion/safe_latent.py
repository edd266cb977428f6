"""Safe Latent Diffusion: guidance away from an unsafe concept, on any sampler."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Self

import torch
from torch import Tensor

from nodes.diffusion.guidance import NEGATIVE, POSITIVE, UNSAFE, Branch, Guide, Predictions
from nodes.values import Guidance


@dataclass(frozen=True, slots=True, kw_only=True)
class SafeLatentDiffusion(Guidance):
    """CFG that turns away from an unsafe concept (Schramowski et al. 2023, arXiv 2211.05105, eq. 3-8).

    Needs the conditioning "unsafe". `warmup` is in steps; from there on the concept's guidance is subtracted,
    where the prompt's noise is closer than `threshold` to the concept's. Momentum gathers during warm-up too,
    once a step.
    """

    scale: float
    safety_scale: float = 1000.0
    warmup: int = 10
    threshold: float = 0.01
    momentum_scale: float = 0.3
    momentum_beta: float = 0.4

    @classmethod
    def preset(cls, name: str, *, scale: float) -> Self:
        """One of the paper's four strengths: weak, medium, strong, max. Raises KeyError for another name."""
        return cls(scale=scale, **SAFETY_PRESETS[name])  # type: ignore[arg-type]

    def start(self) -> Guide:
        return _SafeGuide(self)


SAFETY_PRESETS: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        name: MappingProxyType(
            {
                "warmup": warmup,
                "safety_scale": scale,
                "threshold": threshold,
                "momentum_scale": momentum,
                "momentum_beta": beta,
            }
        )
        for name, warmup, scale, threshold, momentum, beta in (
            ("weak", 15, 20.0, 0.0, 0.0, 0.0),
            ("medium", 10, 1000.0, 0.01, 0.3, 0.4),
            ("strong", 7, 2000.0, 0.025, 0.5, 0.7),
            ("max", 0, 5000.0, 1.0, 0.5, 0.7),
        )
    }
)
"""The hyper-parameters of Schramowski et al. 2023, table 1."""


class _SafeGuide:
    def __init__(self, guidance: SafeLatentDiffusion) -> None:
        self._guidance = guidance
        self._step = -1
        self._momentum: Tensor | float = 0.0
        self._gathered: Tensor | float = 0.0

    def branches(self, share: float) -> tuple[Branch, ...]:
        return (POSITIVE, NEGATIVE, UNSAFE)

    def __call__(self, predictions: Predictions) -> Tensor:
        rules = self._guidance
        empty, prompt = predictions.noise(NEGATIVE), predictions.noise(POSITIVE)
        unsafe = predictions.noise(UNSAFE)
        away = prompt - unsafe
        weight = (away.abs() * rules.safety_scale).clamp(max=1.0)
        weight = torch.where(away >= rules.threshold, torch.zeros_like(weight), weight)
        first_of_step = predictions.step != self._step
        if first_of_step:
            self._step, self._momentum = predictions.step, self._gathered
        turn = weight * (unsafe - empty) + rules.momentum_scale * self._momentum
        if first_of_step:
            kept = rules.momentum_beta * self._momentum
            self._gathered = kept + (1 - rules.momentum_beta) * turn
        direction = prompt - empty
        if predictions.step >= rules.warmup:
            direction = direction - turn
        return predictions.x - predictions.sigma * (empty + rules.scale * direction)
