"""A motion module in AnimateDiff's own layout gives the frames of diffusers' AnimateDiffPipeline."""

from __future__ import annotations

import copy
from functools import cache
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from graphcore import ExecutionError, Graph
from nodes.diffusion.motion_file import open_motion
from nodes.diffusion.noise import starting_noise
from nodes.diffusion.parameterization import DiscreteDiffusion, evenly_rising_betas
from nodes.values import Image, Latent
from tests import models
from tests.integration.test_whole_images import NEGATIVE, PROMPT, folder_for
from tests.models import TinyModels
from tests.tiny_engine import all_nodes, tiny_engine

FRAMES, STEPS, SCALE, SEED, SIDE = 4, 3, 5.0, 7, 64
MOTION: dict[str, Any] = {
    "block_out_channels": (32, 64),
    "motion_layers_per_block": 1,
    "motion_max_seq_length": 16,
    "use_motion_mid_block": True,
}


@cache
def adapter(use_motion_mid_block: bool = True) -> Any:
    made = models.seeded(
        lambda: diffusers.MotionAdapter(**{**MOTION, "use_motion_mid_block": use_motion_mid_block}), 6
    )
    stream = torch.Generator().manual_seed(9)
    for name, parameter in made.named_parameters():
        if "proj_out" in name:
            parameter.copy_(torch.randn(parameter.shape, generator=stream) * 0.1)
    return made


def original(module: Any) -> dict[str, Tensor]:
    """The motion module in the layout of AnimateDiff's own files, with its tables of positions."""
    renamed = {
        ".attn1.": ".attention_blocks.0.",
        ".attn2.": ".attention_blocks.1.",
        ".norm1.": ".norms.0.",
        ".norm2.": ".norms.1.",
        ".norm3.": ".ff_norm.",
    }
    state = {}
    for name, tensor in module.state_dict().items():
        head, _, tail = name.partition(".motion_modules.")
        place, _, inner = tail.partition(".")
        if inner.endswith("pos_embed.pe"):
            block = inner.removesuffix(".pos_embed.pe")
            for number in (0, 1):
                table = f"{block}.attention_blocks.{number}.pos_encoder.pe"
                state[f"{head}.motion_modules.{place}.temporal_transformer.{table}"] = tensor.clone()
            continue
        name = f"{head}.motion_modules.{place}.temporal_transformer.{inner}"
        for ours, theirs in renamed.items():
            name = name.replace(ours, theirs)
        state[name] = tensor.contiguous()
    return state


def write_motion(folder: Path, *, layout: str = "original", middle: bool = True, prefix: str = "") -> Path:
    path = folder / "motion_modules" / "motion.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    module = adapter(middle)
    state = original(module) if layout == "original" else dict(module.state_dict())
    save_file({prefix + name: tensor.clone() for name, tensor in state.items()}, path)
    return path


def graph(checkpoint: str, frames: int = FRAMES, **inputs: Any) -> Graph:
    made = Graph(all_nodes())
    loaded = made.LoadCheckpoint(ckpt_name=checkpoint)
    model = made.AnimateDiffApply(
        model=loaded.model, motion_module=made.AnimateDiffLoader(motion_name="motion.safetensors"), **inputs
    )
    sampled = made.KSampler(
        model=model,
        positive=made.CLIPEncode(text=PROMPT, clip=loaded.clip),
        negative=made.CLIPEncode(text=NEGATIVE, clip=loaded.clip),
        latent_image=made.EmptyLatentImage(width=SIDE, height=SIDE, batch_size=frames),
        seed=SEED,
        steps=STEPS,
        cfg=SCALE,
        sampler_name="euler",
        scheduler="normal",
        denoise=1.0,
    )
    made.output("latent", sampled)
    made.output("frames", made.VAEDecode(samples=sampled, vae=loaded.vae))
    return made


def theirs(tmp_path: Path, motion: Any, betas: str) -> tuple[Tensor, Tensor]:
    """The latents and frames of diffusers' pipeline."""
    from transformers import CLIPTextModel, CLIPTokenizer

    parts = models.sd1_parts()
    folder = folder_for(tmp_path / "folder", parts, {})
    scheduler = diffusers.EulerDiscreteScheduler(
        beta_schedule=betas, beta_start=0.00085, beta_end=0.012, timestep_spacing="linspace"
    )
    pipe = diffusers.AnimateDiffPipeline(
        vae=parts.vae,
        text_encoder=CLIPTextModel.from_pretrained(folder / "text_encoder"),
        tokenizer=CLIPTokenizer.from_pretrained(folder / "tokenizer"),
        unet=copy.deepcopy(parts.unet),
        motion_adapter=copy.deepcopy(motion),
        scheduler=scheduler,
    )
    pipe.set_progress_bar_config(disable=True)
    table = evenly_rising_betas() if betas == "linear" else DiscreteDiffusion().betas
    highest = DiscreteDiffusion(betas=table).sigmas[-1]
    noise = starting_noise((FRAMES, 4, SIDE // 8, SIDE // 8), SEED).movedim(0, 1)[None]
    scaled = noise * (1 + highest**2) ** 0.5 / highest
    common: dict[str, Any] = {
        "prompt": PROMPT,
        "negative_prompt": NEGATIVE,
        "num_frames": FRAMES,
        "num_inference_steps": STEPS,
        "guidance_scale": SCALE,
        "latents": scaled,
        "height": SIDE,
        "width": SIDE,
    }
    latents = pipe(**common, output_type="latent").frames[0].movedim(1, 0)
    frames = pipe(**common, output_type="pt").frames[0].movedim(1, -1)
    return latents, frames.float()


@pytest.mark.parametrize(
    ("layout", "middle", "schedule", "betas"),
    [
        ("original", True, "linear", "linear"),
        ("original", False, "as the model", "scaled_linear"),
        ("diffusers", True, "linear", "linear"),
    ],
)
def test_same_latents_and_frames(
    layout: str,
    middle: bool,
    schedule: str,
    betas: str,
    tmp_path: Path,
    tiny_models: TinyModels,
    no_network: None,
) -> None:
    write_motion(tmp_path / "models", layout=layout, middle=middle)
    folders = (tiny_models.folder, tmp_path / "models")
    with tiny_engine(tmp_path, tiny_models.folder, models_dirs=folders) as engine:
        result = engine.run(graph(tiny_models.sd1().name, beta_schedule=schedule).workflow())
    latent, frames = result["latent"], result["frames"]
    assert isinstance(latent, Latent)
    assert isinstance(frames, Image)
    wanted, shown = theirs(tmp_path, adapter(middle), betas)
    scaled = latent.samples * 0.18215
    torch.testing.assert_close(scaled, wanted, rtol=1e-4, atol=1e-4 * float(wanted.abs().max()))
    torch.testing.assert_close(frames.pixels, shown, rtol=0, atol=1e-3)


def test_frames_see_each_other(tmp_path: Path, tiny_models: TinyModels) -> None:
    write_motion(tmp_path / "models")
    folders = (tiny_models.folder, tmp_path / "models")
    with tiny_engine(tmp_path, tiny_models.folder, models_dirs=folders) as engine:
        four = engine.run(graph(tiny_models.sd1().name).workflow())["latent"]
        three = engine.run(graph(tiny_models.sd1().name, frames=3).workflow())["latent"]
    assert isinstance(four, Latent)
    assert isinstance(three, Latent)
    assert float((four.samples[:3] - three.samples).abs().max()) > 1e-3


@pytest.mark.parametrize("prefix", ["", "module."])
def test_the_file_tells_its_configuration(prefix: str, tmp_path: Path) -> None:
    found = open_motion(write_motion(tmp_path, prefix=prefix))
    assert found.config() == MOTION


def test_too_many_frames(tmp_path: Path, tiny_models: TinyModels) -> None:
    write_motion(tmp_path / "models")
    folders = (tiny_models.folder, tmp_path / "models")
    with (
        tiny_engine(tmp_path, tiny_models.folder, models_dirs=folders) as engine,
        pytest.raises(ExecutionError, match="16 frames at most"),
    ):
        engine.run(graph(tiny_models.sd1().name, frames=17).workflow())


def test_another_family(tmp_path: Path, tiny_models: TinyModels) -> None:
    write_motion(tmp_path / "models")
    folders = (tiny_models.folder, tmp_path / "models")
    with (
        tiny_engine(tmp_path, tiny_models.folder, models_dirs=folders) as engine,
        pytest.raises(ExecutionError, match="another family"),
    ):
        engine.run(graph(tiny_models.sdxl().name).workflow())


def test_a_file_that_is_none(tmp_path: Path, tiny_models: TinyModels) -> None:
    (tmp_path / "models" / "motion_modules").mkdir(parents=True)
    save_file({"x": torch.zeros(1)}, tmp_path / "models" / "motion_modules" / "motion.safetensors")
    folders = (tiny_models.folder, tmp_path / "models")
    with (
        tiny_engine(tmp_path, tiny_models.folder, models_dirs=folders) as engine,
        pytest.raises(ExecutionError, match="no motion module"),
    ):
        engine.run(graph(tiny_models.sd1().name).workflow())
