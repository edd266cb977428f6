"""Pictures beside the text, as unCLIP models and SDXL take them, lead to the latents of diffusers' pipelines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
from torch import Tensor

from graphcore.errors import ExecutionError
from nodes.diffusion.clip_vision import normalised, seen
from nodes.diffusion.parameterization import DiscreteDiffusion
from tests.integration.steering.steered import (
    SCALE,
    SEED,
    SIDE,
    STEPS,
    assert_alike,
    loaded_pipeline,
    model_folder,
    noise,
    ours,
    picture,
    saved,
    settings_for,
    texts,
)
from tests.models import TinyModels
from tests.steering_models import image_normalizer, put, unclip_parts, unclip_state, vision_tower


def steering(*files: str, noise: float = 0.0, strength: float = 1.0, vision: str | None = None) -> Any:
    def steer(graph: Any, parts: Any) -> tuple[Any, Any]:
        positive = parts.positive
        for file in files:
            encoder = (
                parts.checkpoint.clip_vision if vision is None else graph.CLIPVisionLoader(clip_name=vision)
            )
            positive = graph.unCLIPConditioning(
                conditioning=positive,
                clip_vision_output=graph.CLIPVisionEncode(
                    clip_vision=encoder, image=graph.LoadImage(image=file).image, crop="center"
                ),
                strength=strength,
                noise_augmentation=noise,
            )
        return positive, parts.negative

    return steer


@pytest.fixture
def place(tmp_path: Path) -> tuple[Path, Path, str]:
    models = tmp_path / "models"
    name = put(models, "unclip.safetensors", unclip_state(), kind="checkpoints")
    for number in range(2):
        saved(tmp_path, picture(number)[0], f"{number}.png")
    return tmp_path, models, name


def expected(checkpoint: Path, level: int, embeds: Tensor) -> Tensor:
    """The latent of diffusers' pipeline, which does not scale the noise that it is given."""
    parts = unclip_parts()
    betas = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
    made = diffusers.StableUnCLIPImg2ImgPipeline(
        feature_extractor=None,
        image_encoder=vision_tower(),
        image_normalizer=image_normalizer(),
        image_noising_scheduler=diffusers.DDPMScheduler(beta_schedule="squaredcos_cap_v2"),
        tokenizer=None,
        text_encoder=None,
        unet=parts.unet,
        scheduler=diffusers.EulerDiscreteScheduler(prediction_type="v_prediction", **betas),
        vae=parts.vae,
    )
    made.set_progress_bar_config(disable=True)
    read = {name: text for name, text in texts(checkpoint).items() if "pooled" not in name}
    latent: Tensor = made(
        **read,
        image_embeds=embeds,
        noise_level=level,
        generator=torch.Generator().manual_seed(SEED),
        num_inference_steps=STEPS,
        guidance_scale=SCALE,
        latents=noise() * DiscreteDiffusion().sigmas[-1],
        output_type="latent",
        height=SIDE,
        width=SIDE,
    ).images
    return latent / parts.vae.config.scaling_factor


def embeds_of(image: Tensor) -> Tensor:
    with torch.no_grad():
        return vision_tower()(normalised(seen(image, 28, crop=True))).image_embeds


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_noise_levels(share: float, place: tuple[Path, Path, str]) -> None:
    found = ours(*place, steering("0.png", noise=share), loader="unCLIPCheckpointLoader")
    checkpoint = place[1] / "checkpoints" / place[2]
    assert_alike(found, expected(checkpoint, round(999 * share), embeds_of(picture())))


def test_several_pictures_are_mixed_by_strength(place: tuple[Path, Path, str]) -> None:
    one = ours(*place, steering("0.png"), loader="unCLIPCheckpointLoader")
    two = ours(*place, steering("0.png", "1.png"), loader="unCLIPCheckpointLoader")
    none = ours(*place, steering(), loader="unCLIPCheckpointLoader")
    weak = ours(*place, steering("0.png", strength=0.2), loader="unCLIPCheckpointLoader")
    for left, right in ((one, two), (one, none), (one, weak), (two, none)):
        assert (left - right).abs().max() > 0.001
    assert torch.equal(ours(*place, steering("0.png", strength=0.0), loader="unCLIPCheckpointLoader"), none)


def test_sdxl_takes_it_in_the_place_of_its_pooled_text(tmp_path: Path, tiny_models: TinyModels) -> None:
    """Stability AI's "Revision": the noised view of CLIP-G is what the pooled vector of the prompt would be."""
    models, checkpoint = model_folder(tmp_path, tiny_models, "sdxl")
    vision = put(models, "vision.safetensors", vision_tower().state_dict(), kind="clip_vision")
    saved(tmp_path, picture()[0], "0.png")
    found = ours(tmp_path, models, checkpoint, steering("0.png", vision=vision))
    made = loaded_pipeline(tmp_path, "sdxl", "StableDiffusionXLPipeline", extra={})
    stream = torch.Generator().manual_seed(SEED)
    scheduler = diffusers.DDPMScheduler(beta_schedule="squaredcos_cap_v2")
    embeds = embeds_of(picture())
    noised = scheduler.add_noise(embeds, torch.randn(1, 64, generator=stream), torch.tensor([0]))
    text = texts(models / "checkpoints" / checkpoint)
    latent = made(**{**settings_for(tiny_models, "sdxl"), **text, "pooled_prompt_embeds": noised}).images
    assert_alike(found, latent / made.vae.config.scaling_factor)


def test_another_image_encoder_is_told(place: tuple[Path, Path, str]) -> None:
    vision = put(
        place[1], "vision.safetensors", vision_tower(128, projection=32).state_dict(), kind="clip_vision"
    )
    with pytest.raises(ExecutionError, match="CLIP's view of pictures 64 wide") as caught:
        ours(*place, steering("0.png", vision=vision), loader="unCLIPCheckpointLoader")
    assert caught.value.code == "wrong-family"


def test_a_checkpoint_without_image_encoder_is_told(tmp_path: Path, tiny_models: TinyModels) -> None:
    models, checkpoint = model_folder(tmp_path, tiny_models, "sd1")
    with pytest.raises(ExecutionError, match="no CLIP image encoder"):
        ours(tmp_path, models, checkpoint, steering(), loader="unCLIPCheckpointLoader")


def test_a_folder_brings_its_normalizer_and_encoder_along(place: tuple[Path, Path, str]) -> None:
    """In diffusers' layout: image_encoder/ and image_normalizer/ beside the other parts."""
    from nodes.diffusion.checkpoint import open_checkpoint
    from nodes.diffusion.clip_vision import open_vision
    from nodes.diffusion.unclip import augmentor_of
    from tests.models import write_folder

    folder = write_folder(place[0] / "folder", unclip_parts(), {"prediction_type": "v_prediction"})
    vision_tower().save_pretrained(folder / "image_encoder")
    image_normalizer().save_pretrained(folder / "image_normalizer")
    checkpoint = open_checkpoint(folder)
    assert checkpoint.family is not None
    assert checkpoint.family.name == "sd2-unclip"
    torch.testing.assert_close(augmentor_of(checkpoint).mean, image_normalizer().mean)
    assert open_vision(folder).config["projection_dim"] == 64
