"""Models trained on continuous sigmas: preconditioning as in their papers, and what cannot be so is refused."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from diffusers import EDMEulerScheduler

from graphcore import Context, InputError, ModelFileError, detached_context
from nodes.diffusion.checkpoint import open_checkpoint
from nodes.diffusion.codecs import ValueCodec
from nodes.diffusion.families.family import diffusion
from nodes.diffusion.ksampling import parameterization_of
from nodes.diffusion.parameterization import ContinuousCosine, ContinuousEdm, DiscreteDiffusion, RectifiedFlow
from nodes.guidance.model_sampling import (
    model_sampling_aura_flow,
    model_sampling_continuous_edm,
    model_sampling_continuous_v,
    model_sampling_flux,
    model_sampling_sd3,
)
from nodes.models.loaders import load_checkpoint
from nodes.values import Model
from tests import models
from tests.models import TinyModels


@pytest.fixture(scope="module")
def ctx(tiny_models: TinyModels) -> Context:
    return detached_context(models_dirs=(tiny_models.folder,), device="cpu", dtype="fp32")


@pytest.fixture(scope="module")
def model(ctx: Context, tiny_models: TinyModels) -> Model:
    return load_checkpoint(ctx, tiny_models.sd1().name).model


@pytest.fixture(scope="module")
def flow(ctx: Context, tiny_models: TinyModels) -> Model:
    return load_checkpoint(ctx, tiny_models.sd3().name).model


@pytest.mark.parametrize("sigma", [0.01, 0.7, 40.0])
def test_preconditioning_is_that_of_diffusers(ctx: Context, model: Model, sigma: float) -> None:
    found = parameterization_of(ctx, model_sampling_continuous_edm(ctx, model, "edm", 80.0, 0.002))
    assert isinstance(found, ContinuousEdm)
    theirs = EDMEulerScheduler(sigma_min=0.002, sigma_max=80.0, sigma_data=0.5)
    x, out = (torch.randn(1, 4, 4, 4, generator=torch.Generator().manual_seed(seed)) for seed in (1, 2))
    level = torch.tensor(sigma)
    assert torch.allclose(found.scale_input(x, level), theirs.precondition_inputs(x, level))
    assert torch.allclose(
        found.denoised(x, out, level), theirs.precondition_outputs(x, out, level), atol=1e-6
    )
    assert torch.allclose(found.timestep(level), theirs.precondition_noise(level))


@pytest.mark.parametrize("prediction", ["eps", "v_prediction"])
def test_without_preconditioning_it_is_as_with_discrete_sigmas(
    ctx: Context, model: Model, prediction: str
) -> None:
    found = parameterization_of(ctx, model_sampling_continuous_edm(ctx, model, prediction, 120.0, 0.002))  # type: ignore[arg-type]
    named = {"eps": "epsilon"}.get(prediction, prediction)
    discrete = DiscreteDiffusion(prediction=named)  # type: ignore[arg-type]
    x, out, level = torch.full((1, 4, 2, 2), 3.0), torch.ones(1, 4, 2, 2), torch.tensor(2.0)
    assert torch.allclose(found.scale_input(x, level), discrete.scale_input(x, level))
    assert torch.allclose(found.denoised(x, out, level), discrete.denoised(x, out, level))
    assert float(found.sigmas[-1]) == pytest.approx(120.0)


def test_angles(ctx: Context, model: Model) -> None:
    found = parameterization_of(ctx, model_sampling_continuous_v(ctx, model, "v_prediction", 500.0, 0.03))
    assert isinstance(found, ContinuousCosine)
    for time in (0.1, 0.5, 0.9):
        sigma = found.sigma(torch.tensor(time))
        assert float(found.timestep(sigma)) == pytest.approx(time)
    assert float(found.timestep(torch.tensor(1.0))) == pytest.approx(0.5)
    assert found.share(torch.tensor(found.sigma_at(0.3))) == pytest.approx(0.3)


def test_shifts_of_flows(ctx: Context, flow: Model) -> None:
    def shift(told: Model) -> float:
        found = parameterization_of(ctx, told)
        assert isinstance(found, RectifiedFlow)
        return found.shift

    assert shift(model_sampling_aura_flow(ctx, flow, 1.73)) == 1.73
    assert shift(model_sampling_flux(ctx, flow, 1.15, 0.5, 1024, 1024)) == pytest.approx(math.exp(1.15))
    assert shift(model_sampling_flux(ctx, flow, 1.15, 0.5, 256, 256)) == pytest.approx(math.exp(0.5))
    assert shift(model_sampling_sd3(ctx, model_sampling_flux(ctx, flow), 2.0)) == 2.0


@pytest.mark.parametrize("kind", ["edm_playground_v2.5", "cosmos_rflow"])
def test_other_families_are_refused(ctx: Context, model: Model, kind: str) -> None:
    with pytest.raises(InputError, match="a family that is not supported"):
        model_sampling_continuous_edm(ctx, model, kind)  # type: ignore[arg-type]


def test_what_cannot_be_is_told(ctx: Context, model: Model, flow: Model) -> None:
    with pytest.raises(InputError, match="let the first be the larger"):
        model_sampling_continuous_edm(ctx, model, "eps", 1.0, 2.0)
    with pytest.raises(InputError, match="this one is a rectified flow"):
        model_sampling_continuous_v(ctx, flow, "v_prediction")
    with pytest.raises(InputError, match="A shift is for rectified flows"):
        model_sampling_aura_flow(ctx, model)
    with pytest.raises(InputError, match="too far apart"):
        model_sampling_flux(ctx, flow, 100.0, 0.0, 16384, 16384)


def test_it_survives_the_store(ctx: Context, model: Model) -> None:
    told = (model_sampling_continuous_edm(ctx, model, "edm", 80.0, 0.002),)
    codec = ValueCodec()
    assert codec.decode(codec.encode(told)) == told


def test_marker_tensors_and_schedulers_say_so_too(tmp_path: Path) -> None:
    """CosXL: SDXL that predicts v on continuous sigmas, told by two tensors in its file."""
    markers = {"edm_vpred.sigma_max": torch.tensor(120.0), "edm_vpred.sigma_min": torch.tensor(0.01)}
    file = models.write(tmp_path / "cosxl.safetensors", {**models.sdxl_state(), **markers})
    scheduler = {
        "_class_name": "EDMEulerScheduler",
        "prediction_type": "v_prediction",
        "sigma_min": 0.01,
        "sigma_max": 120.0,
    }
    folder = models.write_folder(tmp_path / "cosxl", models.sdxl_parts(), scheduler)
    for place in (file, folder):
        found = open_checkpoint(place).parameterization
        assert isinstance(found, ContinuousEdm)
        assert (found.prediction, found.sigma_max, found.sigma_min) == (
            "v_prediction",
            120.0,
            pytest.approx(0.01),
        )
    plain = diffusion({"_class_name": "EDMEulerScheduler"})
    assert isinstance(plain, ContinuousEdm)
    assert plain.preconditioned


def test_latents_that_are_normalized_otherwise_are_known(tmp_path: Path) -> None:
    """Playground v2.5 looks like SDXL, but for two tensors; in its folder, its VAE and its scheduler tell."""
    mean, deviation = torch.tensor([-1.5, 2.0, -1.25, 2.5]), torch.tensor([8.5, 6.0, 6.5, 5.25])
    markers = {"edm_mean": mean.view(1, 4, 1, 1), "edm_std": deviation.view(1, 4, 1, 1)}
    file = models.write(tmp_path / "playground.safetensors", {**models.sdxl_state(), **markers})
    folder = models.write_folder(
        tmp_path / "playground", models.sdxl_parts(), {"_class_name": "EDMDPMSolverMultistepScheduler"}
    )
    config = json.loads((folder / "vae" / "config.json").read_text())
    config |= {"latents_mean": mean.tolist(), "latents_std": deviation.tolist(), "scaling_factor": 0.5}
    (folder / "vae" / "config.json").write_text(json.dumps(config))
    latent = torch.randn(2, 4, 3, 5)
    for place in (file, folder):
        opened = open_checkpoint(place)
        assert isinstance(opened.parameterization, ContinuousEdm)
        assert (opened.parameterization.sigma_max, opened.parameterization.sigma_data) == (80.0, 0.5)
        assert opened.parameterization.preconditioned
        assert opened.latent_format is not None
        scaled = (latent - mean[:, None, None]) * 0.5 / deviation[:, None, None]
        torch.testing.assert_close(opened.latent_format.scaled(latent), scaled)
        torch.testing.assert_close(opened.latent_format.unscaled(scaled), latent)


def test_latents_normalized_by_nonsense_are_told(tmp_path: Path) -> None:
    markers = {"edm_mean": torch.zeros(4), "edm_std": torch.zeros(3)}
    file = models.write(tmp_path / "playground.safetensors", {**models.sdxl_state(), **markers})
    with pytest.raises(ModelFileError, match="do not fit each other"):
        open_checkpoint(file)
