"""Noise: drawn on the CPU from generators of its own, so that a seed gives one picture on every device.

Three streams come from one seed, and the global generator is never touched:
the starting noise (the seed itself), the fresh noise of ancestral samplers (seed + 1), and the Brownian path
of SDE samplers (the seed as entropy of a Brownian tree). These are ComfyUI's conventions for a run on the
CPU.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
import torchsde
from torch import Tensor

StepNoise = Callable[[Tensor, Tensor], Tensor]
"""Unit-variance noise for the step between two sigmas."""

_SEEDS = 2**64

_TREE_DIGITS = 6
"""Digits that a Brownian tree rounds its ends to."""


def generator(seed: int) -> torch.Generator:
    """A CPU generator for a 64-bit seed; larger and negative ones wrap around."""
    return torch.Generator("cpu").manual_seed(seed % _SEEDS)


def starting_noise(
    shape: tuple[int, ...], seed: int, *, batch_index: tuple[int, ...] | None = None
) -> Tensor:
    """Float32 noise of `shape` (batch, ...) on the CPU.

    With `batch_index`, sample k gets what sample batch_index[k] of a larger batch would have had: the stream
    is drawn one sample at a time, up to the largest index. Equal indices get equal noise.
    """
    stream = generator(seed)
    if batch_index is None:
        return torch.randn(shape, generator=stream)
    wanted = set(batch_index)
    drawn: dict[int, Tensor] = {}
    for index in range(max(wanted) + 1):
        sample = torch.randn((1, *shape[1:]), generator=stream)
        if index in wanted:
            drawn[index] = sample
    return torch.cat([drawn[index] for index in batch_index])


class NoiseSource(Protocol):
    """Where a sampler gets the noise that it adds on its way."""

    def gaussian(self) -> StepNoise:
        """Independent noise at each call; the sigmas do not matter."""
        ...

    def brownian(self, sigmas: Tensor) -> StepNoise:
        """Increments of one Brownian path over the range of `sigmas`, at unit variance."""
        ...

    def of_any_size(self) -> Callable[[Tensor], Tensor]:
        """Independent noise at each call, in the shape of what it is given."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SeededNoise:
    """The noise of a run with this seed, in the shape, dtype and device of `like`."""

    seed: int
    like: Tensor

    def gaussian(self) -> StepNoise:
        stream = generator(self.seed + 1)

        def draw(sigma: Tensor, sigma_next: Tensor) -> Tensor:
            return torch.randn(self.like.shape, dtype=self.like.dtype, generator=stream).to(self.like.device)

        return draw

    def of_any_size(self) -> Callable[[Tensor], Tensor]:
        stream = generator(self.seed + 1)
        return lambda like: torch.randn(like.shape, dtype=like.dtype, generator=stream).to(like.device)

    def brownian(self, sigmas: Tensor) -> StepNoise:
        low, high = float(sigmas[sigmas > 0].min()), float(sigmas.max())
        if low == high:
            return self.gaussian()
        zero = torch.zeros(self.like.shape, dtype=self.like.dtype)
        tree = torchsde.BrownianTree(low, zero, high, entropy=self.seed % _SEEDS)
        lowest, highest = round(low, _TREE_DIGITS), round(high, _TREE_DIGITS)

        def draw(sigma: Tensor, sigma_next: Tensor) -> Tensor:
            start, end = sorted((float(sigma), float(sigma_next)))
            sign = 1 if sigma_next > sigma else -1
            step = tree(max(start, lowest), min(end, highest))
            increment: Tensor = (step * sign / (end - start) ** 0.5).to(self.like)
            return increment

        return draw
