"""The forward process of training: noise added to latents at timesteps drawn by lot, and what each error counts."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from tools.embedded.losses import cumulative_alphas, noise_loss, timestep_weights


@dataclass(frozen=True, slots=True, kw_only=True)
class Noised:
    """`noisy` latents with `noise` in them at `times` (count); `weights` (count) say what each error counts."""

    noisy: Tensor
    noise: Tensor
    times: Tensor
    weights: Tensor

    def to(self, device: torch.device) -> Noised:
        """The same on a device."""
        return Noised(
            noisy=self.noisy.to(device),
            noise=self.noise.to(device),
            times=self.times.to(device),
            weights=self.weights.to(device),
        )

    def loss(self, predicted: Tensor, places: Tensor | float = 1.0) -> Tensor:
        """Weighted error of the predicted noise; each place counts times `places`."""
        return noise_loss(predicted, self.noise, self.weights, places)


@dataclass(frozen=True, kw_only=True)
class Noising:
    """Of the timesteps, a share `high_noise_share` is drawn from `high_noise_first` on, the rest from all 1000.

    `cap` limits how much more the error counts where noise is strong (see `timestep_weights`).
    """

    high_noise_share: float = 0.0
    high_noise_first: int = 800
    cap: float = 20.0

    @cached_property
    def alphas(self) -> Tensor:
        return cumulative_alphas()

    @cached_property
    def weights(self) -> Tensor:
        return timestep_weights(self.alphas, cap=self.cap)

    def noised(self, latents: Tensor, generator: torch.Generator) -> Noised:
        """Add noise to scaled latents (count, channels, height, width), each at a timestep of its own."""
        noise = torch.randn(latents.shape, generator=generator)
        times = self._times(len(latents), generator)
        return Noised(
            noisy=self.mixed(latents, noise, times), noise=noise, times=times, weights=self.weights[times]
        )

    def mixed(self, latents: Tensor, noise: Tensor, times: Tensor) -> Tensor:
        """Latents and noise in the proportions of the timesteps."""
        alpha = self.alphas[times].view(-1, 1, 1, 1)
        return alpha.sqrt() * latents + (1 - alpha).sqrt() * noise

    def _times(self, count: int, generator: torch.Generator) -> Tensor:
        high = torch.rand(count, generator=generator) < self.high_noise_share
        late = torch.randint(self.high_noise_first, 1000, (count,), generator=generator)
        return torch.where(high, late, torch.randint(0, 1000, (count,), generator=generator))
