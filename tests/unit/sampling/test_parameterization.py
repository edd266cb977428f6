"""Sigmas, timesteps and what networks predict are turned into one another without loss."""

from __future__ import annotations

import pytest
import torch

from nodes.diffusion.parameterization import (
    ContinuousEdm,
    DiscreteDiffusion,
    LatentConsistency,
    NoiseProcess,
    Parameterization,
    RectifiedFlow,
    linear_betas,
)
from tests.unit.sampling.toys import randn

X0, NOISE = randn(2, 4, 3, 3, seed=1), randn(2, 4, 3, 3, seed=2)
SIGMA = torch.tensor(1.7, dtype=torch.float64)


def test_epsilon_v_and_sample_predictions_all_lead_to_x0() -> None:
    signal = 1 / (SIGMA**2 + 1) ** 0.5
    x = X0 + SIGMA * NOISE
    velocity = signal * NOISE - signal * SIGMA * X0
    for prediction, output in (("epsilon", NOISE), ("v_prediction", velocity), ("sample", X0)):
        model = DiscreteDiffusion(prediction=prediction)  # type: ignore[arg-type]
        assert torch.allclose(model.denoised(x, output, SIGMA), X0)
    assert torch.allclose(ContinuousEdm().denoised(x, velocity, SIGMA), X0)


def test_input_has_unit_variance() -> None:
    x = randn(100, 4, 8, 8) * (1 + SIGMA**2) ** 0.5
    assert float(DiscreteDiffusion().scale_input(x, SIGMA).std()) == pytest.approx(1.0, abs=0.01)


def test_flow_prediction_leads_to_x0() -> None:
    model, sigma = RectifiedFlow(), torch.tensor(0.4, dtype=torch.float64)
    x = model.add_noise(X0, NOISE, sigma)
    assert torch.allclose(x, 0.6 * X0 + 0.4 * NOISE)
    assert torch.allclose(model.denoised(x, NOISE - X0, sigma), X0)
    assert torch.equal(model.scale_input(x, sigma), x)
    assert float(model.timestep(sigma)) == pytest.approx(400.0)
    assert torch.allclose(model.finish(0.6 * X0, sigma), X0)


def test_a_sigma_is_given_as_the_nearest_timestep() -> None:
    model = DiscreteDiffusion()
    for timestep in (0, 1, 500, 998, 999):
        assert float(model.timestep(model.sigmas[timestep])) == timestep
        assert float(model.sigma(torch.tensor(timestep))) == pytest.approx(float(model.sigmas[timestep]))
        assert float(model.timestep(model.sigmas[timestep] * 1.0005)) == timestep
    assert float(model.timestep(torch.tensor(1000.0))) == 999
    between = float(model.sigma(torch.tensor(500.5)))
    assert between == pytest.approx(float((model.sigmas[500] * model.sigmas[501]).sqrt()), rel=1e-5)


def test_zero_terminal_snr_keeps_the_first_sigma_and_ends_in_noise() -> None:
    plain, rescaled = DiscreteDiffusion(), DiscreteDiffusion(zero_snr=True)
    assert float(rescaled.sigmas[-1]) == pytest.approx(4518.76, abs=0.1)
    plain_signal = 1 / (plain.sigmas.double() ** 2 + 1)
    signal = 1 / (rescaled.sigmas.double() ** 2 + 1)
    assert float(signal[0]) == pytest.approx(float(plain_signal[0]), abs=1e-6)
    assert (rescaled.sigmas.diff() > 0).all()


def test_zero_terminal_snr_agrees_with_diffusers() -> None:
    from diffusers import DDIMScheduler

    theirs = DDIMScheduler(
        beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012, rescale_betas_zero_snr=True
    )
    ours = 1 / (DiscreteDiffusion(zero_snr=True).sigmas.double() ** 2 + 1)
    assert torch.allclose(ours[:-1], theirs.alphas_cumprod[:-1].double(), rtol=1e-3, atol=1e-6)


def test_full_noise_has_the_variance_of_signal_and_noise_together() -> None:
    model = DiscreteDiffusion()
    zero = torch.zeros_like(NOISE)
    assert torch.allclose(model.add_noise(zero, NOISE, SIGMA, full=True), NOISE * (1 + SIGMA**2) ** 0.5)
    assert torch.allclose(model.add_noise(X0, NOISE, SIGMA), X0 + SIGMA * NOISE)


def test_latent_consistency_agrees_with_diffusers() -> None:
    from diffusers import LCMScheduler

    scheduler = LCMScheduler(
        beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012, clip_sample=False
    )
    scheduler.set_timesteps(50, original_inference_steps=50)
    model = LatentConsistency()
    assert [int(t) for t in scheduler.timesteps.flip(0)] == [int(model.timestep(s)) for s in model.sigmas]
    last = scheduler.timesteps[-1]
    sigma = model.sigmas[0].double()
    scheduler._step_index = 49
    theirs = scheduler.step(NOISE, last, X0 / (1 + sigma**2) ** 0.5, return_dict=True).denoised
    assert torch.allclose(model.denoised(X0, NOISE, sigma), theirs, atol=1e-3)
    assert float(model.sigma(torch.tensor(999.0))) == pytest.approx(float(model.sigmas[-1]))


MODELS: list[Parameterization] = [
    DiscreteDiffusion(),
    DiscreteDiffusion(betas=linear_betas(timesteps=500)),
    ContinuousEdm(),
    RectifiedFlow(shift=3.0),
    RectifiedFlow(shift=1.0),
]


@pytest.mark.parametrize("model", MODELS)
def test_shares_of_the_schedule(model: Parameterization) -> None:
    for share in (0.1, 0.25, 0.5, 0.9):
        assert model.share(torch.tensor(model.sigma_at(share))) == pytest.approx(share, abs=0.002)
    assert model.sigma_at(0.0) >= float(model.sigmas[-1])
    assert model.sigma_at(1.0) == 0.0
    assert model.sigma_at(0.4) > model.sigma_at(0.6)


@pytest.mark.parametrize("flow", [False, True])
def test_half_log_snr_and_back(flow: bool) -> None:
    process, sigma = NoiseProcess(flow), torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64)
    ratio = process.half_log_snr(sigma)
    assert torch.allclose(ratio, (process.alpha(sigma) / sigma).log())
    assert torch.allclose(process.sigma(ratio), sigma)
