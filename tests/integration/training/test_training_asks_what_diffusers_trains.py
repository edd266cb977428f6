"""The noisy latents and targets of training are those of diffusers' own training examples."""

from __future__ import annotations

import diffusers
import pytest
import torch

from graphcore import InputError
from nodes.diffusion.noise import generator
from nodes.diffusion.parameterization import DiscreteDiffusion, LatentConsistency, RectifiedFlow
from nodes.diffusion.training.objective import noisy_batch

LATENTS = torch.randn(16, 4, 8, 8, generator=torch.Generator().manual_seed(1))


def drawn(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The noise and timesteps that a batch of this seed draws."""
    stream = generator(seed)
    noise = torch.randn(LATENTS.shape, generator=stream)
    return noise, torch.randint(1000, (len(LATENTS),), generator=stream)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
def test_diffusion(prediction: str) -> None:
    scheduler = diffusers.DDPMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", prediction_type=prediction
    )
    noise, timesteps = drawn(7)
    batch = noisy_batch(DiscreteDiffusion(prediction=prediction), LATENTS, generator(7))  # type: ignore[arg-type]
    targets = {
        "epsilon": noise,
        "v_prediction": scheduler.get_velocity(LATENTS, noise, timesteps),
        "sample": LATENTS,
    }
    assert torch.equal(batch.timestep, timesteps.float())
    torch.testing.assert_close(batch.x, scheduler.add_noise(LATENTS, noise, timesteps), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(batch.target, targets[prediction], rtol=1e-4, atol=1e-4)


def test_rectified_flow() -> None:
    stream = generator(7)
    noise = torch.randn(LATENTS.shape, generator=stream)
    time = torch.randn(len(LATENTS), generator=stream).sigmoid()
    sigma = (3 * time / (1 + 2 * time)).view(-1, 1, 1, 1)
    batch = noisy_batch(RectifiedFlow(), LATENTS, generator(7))
    torch.testing.assert_close(batch.x, (1 - sigma) * LATENTS + sigma * noise)
    torch.testing.assert_close(batch.target, noise - LATENTS)
    torch.testing.assert_close(batch.timestep, sigma.flatten() * 1000)


def test_distilled_models_are_refused() -> None:
    with pytest.raises(InputError, match="cannot be trained"):
        noisy_batch(LatentConsistency(), LATENTS, generator(7))
