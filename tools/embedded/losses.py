"""Training losses: pictures, and noise weighted by timestep."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from tools.embedded.models import NOISE_SCHEDULE


def picture_loss(made: Tensor, wanted: Tensor) -> Tensor:
    """L1, plus L1 of horizontal and vertical differences (keeps edges), plus half the mean square."""
    error = made.float() - wanted
    across = (error[..., 1:] - error[..., :-1]).abs().mean()
    along = (error[..., 1:, :] - error[..., :-1, :]).abs().mean()
    return error.abs().mean() + across + along + 0.5 * error.square().mean()


def divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL divergence from the unit normal, per latent value."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean()


def cumulative_alphas() -> Tensor:
    """Product of 1 - beta up to each of the 1000 timesteps (scaled-linear betas of Stable Diffusion 1.x)."""
    first, last = NOISE_SCHEDULE["beta_start"], NOISE_SCHEDULE["beta_end"]
    betas = (
        torch.linspace(first**0.5, last**0.5, NOISE_SCHEDULE["num_train_timesteps"], dtype=torch.float64) ** 2
    )
    return torch.cumprod(1 - betas, dim=0).float()


def timestep_weights(alphas: Tensor, *, cap: float = 60.0) -> Tensor:
    """Weight of the noise error at each timestep, mean 1.

    Plain noise error hardly rewards reading the prompt where noise is strong and layout is settled, so below a
    signal-to-noise ratio of 5 the error is weighted as an error of the denoised picture, (SNR + 1) / SNR up to
    `cap`; above it by 6 / SNR (compare min-SNR, Hang et al. 2023).
    """
    ratio = alphas / (1 - alphas)
    weights = torch.where(ratio < 5, ((ratio + 1) / ratio).clamp(max=cap), 6 / ratio)
    return weights / weights.mean()


def noise_loss(predicted: Tensor, noise: Tensor, weights: Tensor, places: Tensor | float = 1.0) -> Tensor:
    """Mean square error of the predicted noise, each sample times its weight, each place times `places`."""
    error = functional.mse_loss(predicted.float(), noise, reduction="none") * places
    return (error.mean(dim=(1, 2, 3)) * weights).mean()
