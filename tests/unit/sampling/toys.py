"""Denoisers whose answers are known exactly, and small networks with nothing to load."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from nodes.diffusion.network import LatentFormat, LatentScene, Residuals
from nodes.diffusion.noise import StepNoise
from nodes.diffusion.parameterization import DiscreteDiffusion, NoiseProcess, Parameterization
from nodes.diffusion.samplers.protocol import DenoisedPair, SamplerRun
from nodes.diffusion.samplers.registry import sampler_spec
from nodes.values import Conditioning, ConditioningEntry


def randn(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    """Reproducible noise."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@dataclass(frozen=True)
class Mixture:
    """The exact posterior mean of a mixture of Gaussians with one spread, in double precision."""

    centres: Tensor = field(default_factory=lambda: 1.5 * randn(5, 16, seed=7))
    spread: float = 0.3
    flow: bool = False

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        alpha = 1 - sigma if self.flow else torch.ones_like(sigma)
        away = x[:, None] - alpha * self.centres
        variance = (alpha * self.spread) ** 2 + sigma**2
        weights = (-(away**2).sum(-1) / (2 * variance)).softmax(-1)
        means = self.centres + alpha * self.spread**2 / variance * away
        return (weights[..., None] * means).sum(1)


@dataclass
class GivenNoise:
    """A noise source that hands out the same tensors to whoever asks; it remembers how often."""

    draws: list[Tensor]
    asked: int = 0

    def gaussian(self) -> StepNoise:
        def draw(sigma: Tensor, sigma_next: Tensor) -> Tensor:
            self.asked += 1
            return self.draws[self.asked - 1]

        return draw

    def brownian(self, sigmas: Tensor) -> StepNoise:
        return self.gaussian()

    def of_any_size(self) -> Callable[[Tensor], Tensor]:
        draw = self.gaussian()
        return lambda like: draw(like, like)


@dataclass(frozen=True)
class FreshNoise:
    """A noise source of one stream, in double precision."""

    shape: tuple[int, ...]

    def gaussian(self) -> StepNoise:
        stream = torch.Generator().manual_seed(100)
        return lambda sigma, sigma_next: torch.randn(self.shape, generator=stream, dtype=torch.float64)

    def brownian(self, sigmas: Tensor) -> StepNoise:
        return self.gaussian()

    def of_any_size(self) -> Callable[[Tensor], Tensor]:
        draw = self.gaussian()
        return lambda like: draw(like, like)


@dataclass(frozen=True)
class Walk:
    """A sampler's whole run: the end, and every (sigma, step) it asked for."""

    end: Tensor
    asked: tuple[tuple[float, int], ...]


def walk(
    name: str,
    denoise: Callable[[Tensor, Tensor], Tensor],
    x: Tensor,
    sigmas: Tensor,
    *,
    noise: Any = None,
    flow: bool = False,
    sigma_at: Callable[[float], float] = lambda share: 1 - share,
    **options: Any,
) -> Walk:
    """Run a sampler by name on a denoiser."""
    spec = sampler_spec(name)
    run = SamplerRun(
        noise=noise or FreshNoise(tuple(x.shape)),
        process=NoiseProcess(flow),
        sigma_at=sigma_at,
    )
    steps = spec.function(x, sigmas, run, **options)
    asked = []
    query = next(steps)
    while True:
        x, sigma, step = query
        asked.append((float(sigma), step))
        denoised = denoise(x, sigma)
        try:
            query = steps.send(DenoisedPair(denoised, denoised) if spec.needs_uncond else denoised)
        except StopIteration as stopped:
            return Walk(stopped.value, tuple(asked))


def karras_sigmas(steps: int, low: float = 0.03, high: float = 14.6) -> Tensor:
    """Karras's schedule in double precision, with a 0 at the end."""
    ramp = torch.linspace(0, 1, steps, dtype=torch.float64)
    sigmas = (high ** (1 / 7) + ramp * (low ** (1 / 7) - high ** (1 / 7))) ** 7
    return torch.cat([sigmas, sigmas.new_zeros(1)])


def text(*tokens: float, width: int = 3, **rest: Any) -> Conditioning:
    """A conditioning of one entry whose tokens are constants."""
    embeddings = torch.tensor(tokens).reshape(1, -1, 1).expand(1, len(tokens), width).clone()
    return Conditioning((ConditioningEntry(embeddings=embeddings, **rest),))


@dataclass
class MeanNetwork:
    """A network that predicts x0 as its context's mean, everywhere; it remembers its calls.

    With `leak` it adds that share of its input, so that runs do not end at constants.
    """

    parameterization: Parameterization = field(default_factory=lambda: DiscreteDiffusion(prediction="sample"))
    latent_format: LatentFormat = field(default_factory=lambda: LatentFormat(channels=4, scale_factor=1.0))
    dtype: torch.dtype = torch.float32
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    leak: float = 0.0
    calls: list[tuple[tuple[int, ...], tuple[int, ...], str | None]] = field(default_factory=list)
    timesteps: list[Tensor] = field(default_factory=list)
    residuals: list[Residuals | None] = field(default_factory=list)

    def conditions(self, entry: ConditioningEntry, scene: LatentScene) -> dict[str, Tensor]:
        named = {"context": entry.embeddings}
        if entry.pooled is not None:
            named["pooled"] = entry.pooled
        return named

    def __call__(
        self,
        x: Tensor,
        timestep: Tensor,
        conditions: Mapping[str, Tensor],
        *,
        residuals: Residuals | None = None,
        perturbation: str | None = None,
        attention: list[Tensor] | None = None,
    ) -> Tensor:
        context = conditions["context"]
        self.calls.append((tuple(x.shape), tuple(context.shape), perturbation))
        self.timesteps.append(timestep)
        self.residuals.append(residuals)
        level = context.mean(dim=(1, 2)).reshape(-1, 1, 1, 1)
        return torch.zeros_like(x) + level + self.leak * x
