"""A workflow of nodes makes the picture that diffusers' pipeline makes of the same noise."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from nodes.diffusion.noise import starting_noise
from nodes.diffusion.parameterization import DiscreteDiffusion
from nodes.values import Image
from tests import models
from tests.integration.test_whole_images import NEGATIVE, PROMPT, folder_for, pipeline
from tests.models import TinyModels
from tests.tiny_engine import text_to_image, tiny_engine

SEED, STEPS, SCALE = 3, 4, 5.0


@pytest.mark.parametrize("family", ["sd1", "sdxl"])
def test_same_picture(family: str, tmp_path: Path, tiny_models: TinyModels, no_network: None) -> None:
    parts = getattr(models, f"{family}_parts")()
    highest = DiscreteDiffusion().sigmas[-1]
    noise = starting_noise((1, 4, 8, 8), SEED)
    theirs = (
        pipeline(folder_for(tmp_path / "folder", parts, {}), parts, {})(
            prompt=PROMPT,
            negative_prompt=NEGATIVE,
            num_inference_steps=STEPS,
            guidance_scale=SCALE,
            latents=noise * (1 + highest**2) ** 0.5 / highest,
            output_type="pt",
            height=64,
            width=64,
        )
        .images.movedim(1, -1)
        .float()
    )
    file = getattr(tiny_models, family)()
    graph = text_to_image(file.name, seed=SEED, steps=STEPS, cfg=SCALE)
    with tiny_engine(tmp_path, tiny_models.folder) as engine:
        image = engine.run(graph.workflow())["image"]
    assert isinstance(image, Image)
    torch.testing.assert_close(image.pixels, theirs, atol=2e-4, rtol=0)
