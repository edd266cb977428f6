"""Playground v2.5 (Li et al. 2024): SDXL on continuous sigmas, with latents normalized channel by channel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import diffusers
import torch

from graphcore import detached_context
from nodes.diffusion.checkpoint import open_checkpoint
from nodes.diffusion.noise import starting_noise
from nodes.guidance.model_sampling import model_sampling_continuous_edm
from nodes.models.loaders import load_checkpoint
from nodes.models.model_files import save_model
from tests.integration.steering.steered import (
    SEED,
    SIDE,
    assert_alike,
    loaded_pipeline,
    model_folder,
    ours,
    settings_for,
)
from tests.models import TinyModels, sdxl_parts, sdxl_state
from tests.steering_models import put

MEAN, DEVIATION = (
    torch.tensor([-1.6574, 1.886, -1.383, 2.5155]),
    torch.tensor([8.4927, 5.9022, 6.5498, 5.2299]),
)
MARKERS = {"edm_mean": MEAN.view(1, 4, 1, 1), "edm_std": DEVIATION.view(1, 4, 1, 1)}
SIGMA_MAX = 80.0


def test_the_same_latents(tmp_path: Path, tiny_models: TinyModels) -> None:
    models, _ = model_folder(tmp_path, tiny_models, "sdxl")
    put(models, "playground.safetensors", {**sdxl_state(), **MARKERS}, kind="checkpoints")
    found = ours(
        tmp_path,
        models,
        "playground.safetensors",
        lambda graph, parts: (parts.positive, parts.negative),
        scheduler="karras",
    )
    vae = sdxl_parts().vae
    config = dict(vae.config) | {
        "scaling_factor": 0.5,
        "latents_mean": MEAN.tolist(),
        "latents_std": DEVIATION.tolist(),
    }
    known: dict[str, Any] = {k: v for k, v in config.items() if not k.startswith("_")}
    extra = {
        "vae": diffusers.AutoencoderKL(**known),
        "scheduler": diffusers.EDMEulerScheduler(sigma_min=0.002, sigma_max=SIGMA_MAX, sigma_data=0.5),
    }
    made = loaded_pipeline(tmp_path, "sdxl", "StableDiffusionXLPipeline", extra=extra)
    noise = starting_noise((1, 4, SIDE // 8, SIDE // 8), SEED) * SIGMA_MAX / (SIGMA_MAX**2 + 1) ** 0.5
    latent = made(**{**settings_for(tiny_models, "sdxl"), "latents": noise}).images
    assert_alike(found, latent * DEVIATION[:, None, None] / 0.5 + MEAN[:, None, None])


def test_it_is_itself_when_saved_again(tmp_path: Path, tiny_models: TinyModels) -> None:
    models, _ = model_folder(tmp_path, tiny_models, "sdxl")
    put(models, "playground.safetensors", {**sdxl_state(), **MARKERS}, kind="checkpoints")
    ctx = detached_context(models_dirs=(models,), device="cpu", dtype="fp32", output_dir=tmp_path / "output")
    model = load_checkpoint(ctx, "playground.safetensors").model
    assert model_sampling_continuous_edm(ctx, model, "edm_playground_v2.5", 80.0, 0.002).options
    save_model(ctx, model, "p")
    before = open_checkpoint(models / "checkpoints" / "playground.safetensors")
    after = open_checkpoint(next((tmp_path / "output").glob("p*.safetensors")))
    assert after.latent_format == before.latent_format
    assert type(after.parameterization) is type(before.parameterization)
