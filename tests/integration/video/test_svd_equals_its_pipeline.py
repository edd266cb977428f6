"""Stable Video Diffusion from a file in the original layout gives the frames of diffusers' own pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
from torch import Tensor

from graphcore import ExecutionError, Graph
from nodes.diffusion.checkpoint import open_checkpoint
from nodes.diffusion.noise import starting_noise
from nodes.diffusion.parameterization import ContinuousEdm
from nodes.values import Conditioning, Image, Latent
from tests.tiny_engine import all_nodes, tiny_engine
from tests.video_models import UNET, VAE, svd_parts, write_svd

FRAMES, STEPS, SCALE, SEED, SIDE = 3, 4, 3.0, 7, 64


def picture() -> Tensor:
    """The picture that is moved, (1, height, width, 3) in [0, 1]."""
    return torch.rand(1, SIDE, SIDE, 3, generator=torch.Generator().manual_seed(3))


def graph(**inputs: Any) -> Graph:
    made = Graph(all_nodes())
    loaded = made.ImageOnlyCheckpointLoader(ckpt_name="svd.safetensors")
    conditioned = made.SVD_img2vid_Conditioning(
        clip_vision=loaded.clip_vision,
        init_image=made.LoadImage(image="start.png").image,
        vae=loaded.vae,
        **{"width": SIDE, "height": SIDE, "video_frames": FRAMES, "motion_bucket_id": 40, "fps": 7, **inputs},
    )
    sampled = made.KSampler(
        model=made.VideoLinearCFGGuidance(model=loaded.model, min_cfg=1.0),
        positive=conditioned.positive,
        negative=conditioned.negative,
        latent_image=conditioned.latent,
        seed=SEED,
        steps=STEPS,
        cfg=SCALE,
        sampler_name="euler",
        scheduler="karras",
        denoise=1.0,
    )
    made.output("positive", conditioned.positive)
    made.output("latent", sampled)
    made.output("frames", made.VAEDecode(samples=sampled, vae=loaded.vae))
    return made


def start(engine: Any) -> Tensor:
    from nodes.diffusion.pictures import png_bytes, read_picture

    path = engine.files.input_dir / "start.png"
    path.write_bytes(png_bytes(picture()[0], {}))
    return read_picture(path).image.pixels


def pipeline(view: Tensor) -> Any:
    """Diffusers' pipeline of the same parts; it is told what CLIP sees, as it wants 224 pixels for that."""
    parts = svd_parts()
    scheduler = diffusers.EulerDiscreteScheduler(
        prediction_type="v_prediction",
        timestep_type="continuous",
        use_karras_sigmas=True,
        sigma_min=0.002,
        sigma_max=700.0,
        timestep_spacing="leading",
        steps_offset=1,
    )
    made = diffusers.StableVideoDiffusionPipeline(
        vae=parts.vae,
        image_encoder=parts.vision,
        unet=parts.unet,
        scheduler=scheduler,
        feature_extractor=None,
    )
    made._encode_image = lambda *arguments, **named: torch.cat([torch.zeros_like(view), view])
    made.set_progress_bar_config(disable=True)
    return made


def test_same_latents_and_frames(tmp_path: Path, no_network: None) -> None:
    write_svd(tmp_path / "models")
    with tiny_engine(tmp_path, tmp_path / "models") as engine:
        pixels = start(engine)
        result = engine.run(graph().workflow())
    latent, frames, positive = result["latent"], result["frames"], result["positive"]
    assert isinstance(latent, Latent)
    assert isinstance(frames, Image)
    assert isinstance(positive, Conditioning)
    noise = starting_noise((FRAMES, 4, SIDE // 8, SIDE // 8), SEED)[None]
    common: dict[str, Any] = {
        "image": pixels.movedim(-1, 1),
        "height": SIDE,
        "width": SIDE,
        "num_frames": FRAMES,
        "num_inference_steps": STEPS,
        "min_guidance_scale": 1.0,
        "max_guidance_scale": SCALE,
        "fps": 7,
        "motion_bucket_id": 40,
        "noise_aug_strength": 0.0,
        "latents": noise,
        "decode_chunk_size": FRAMES,
    }
    pipe = pipeline(positive.entries[0].embeddings)
    theirs = pipe(**common, output_type="latent").frames[0]
    torch.testing.assert_close(
        latent.samples * 0.18215, theirs, rtol=1e-4, atol=1e-4 * float(theirs.abs().max())
    )
    shown = pipe(**common, output_type="pt").frames[0].movedim(1, -1)
    torch.testing.assert_close(frames.pixels, shown.float(), rtol=0, atol=2e-4)


def test_the_view_is_that_of_the_image_encoder(tmp_path: Path) -> None:
    write_svd(tmp_path / "models")
    with tiny_engine(tmp_path, tmp_path / "models") as engine:
        start(engine)
        result = engine.run(graph(width=32, height=32).workflow())
    positive = result["positive"]
    assert isinstance(positive, Conditioning)
    entry = positive.entries[0]
    assert entry.embeddings.shape == (1, 1, 64)
    assert entry.size == (6.0, 40.0, 0.0)
    assert entry.concat_latent is not None
    assert entry.concat_latent.shape == (1, 4, 4, 4)


def test_configuration_comes_from_shapes(tmp_path: Path) -> None:
    checkpoint = open_checkpoint(write_svd(tmp_path))
    assert checkpoint.family is not None
    assert checkpoint.family.name == "svd"
    assert isinstance(checkpoint.parameterization, ContinuousEdm)
    assert {
        name: checkpoint.part("unet").config[name] for name in UNET if name != "transformer_layers_per_block"
    } == {
        **{name: value for name, value in UNET.items() if name != "transformer_layers_per_block"},
        "layers_per_block": [2, 2],
    }
    assert {name: checkpoint.part("vae").config[name] for name in VAE} == VAE


def test_folders_are_read_too(tmp_path: Path) -> None:
    parts = svd_parts()
    parts.unet.save_pretrained(tmp_path / "svd" / "unet")
    parts.vae.save_pretrained(tmp_path / "svd" / "vae")
    parts.vision.save_pretrained(tmp_path / "svd" / "image_encoder")
    checkpoint = open_checkpoint(tmp_path / "svd")
    assert checkpoint.family is not None
    assert checkpoint.family.name == "svd"
    assert checkpoint.part("vae").kind == "video_vae"


def test_a_text_is_no_conditioning_for_it(tmp_path: Path, tiny_models: Any) -> None:
    write_svd(tmp_path / "models")
    made = Graph(all_nodes())
    loaded = made.ImageOnlyCheckpointLoader(ckpt_name="svd.safetensors")
    text = made.CLIPEncode(text="", clip=made.LoadCheckpoint(ckpt_name=tiny_models.sd1().name).clip)
    sampled = made.KSampler(
        model=loaded.model, positive=text, negative=text,
        latent_image=made.EmptyLatentImage(width=64, height=64, batch_size=2),
        seed=1, steps=1, cfg=1.0, sampler_name="euler", scheduler="karras", denoise=1.0,
    )  # fmt: skip
    made.output("latent", sampled)
    folders = (tmp_path / "models", tiny_models.folder)
    with (
        tiny_engine(tmp_path, tmp_path / "models", models_dirs=folders) as engine,
        pytest.raises(ExecutionError, match="SVD_img2vid_Conditioning"),
    ):
        engine.run(made.workflow())
