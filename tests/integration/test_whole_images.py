"""From a checkpoint file to a picture: the same as diffusers' own pipelines make of the same noise.

The steps are Euler's, written out here, so that loading, text, network and VAE are judged and no sampler of ours.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
from torch import Tensor
from transformers import CLIPTokenizer

from nodes.diffusion.network import LatentScene, Network
from nodes.diffusion.store import ModelStore
from nodes.values import Clip, ConditioningEntry, FileRef, Model, Vae
from tests import models
from tests.models import TinyModels, TinyParts, write_folder

STEPS, SCALE, PROMPT, NEGATIVE = 4, 5.0, "a red cat and a dog", "blurred, cat"


def folder_for(path: Path, parts: TinyParts, scheduler: dict[str, Any]) -> Path:
    """A folder that diffusers' pipelines open, with tokenizers."""
    folder = write_folder(path, parts, scheduler)
    words = models.byte_tokenizer()
    merges = [tuple(merge.split(" ")) for merge in words["merges"]]
    for place, pad in (("tokenizer", "<|endoftext|>"), ("tokenizer_2", "!")):
        pad = "!" if "clip_h" in parts.texts else pad
        tokenizer = CLIPTokenizer(vocab=words["vocab"], merges=merges, model_max_length=77, pad_token=pad)
        tokenizer.save_pretrained(folder / place)
    return folder


def pipeline(folder: Path, parts: TinyParts, scheduler: dict[str, Any]) -> Any:
    """Diffusers' pipeline of the same parts, put together by hand."""
    from transformers import CLIPTextModel, CLIPTextModelWithProjection

    settings = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012, **scheduler}
    common: dict[str, Any] = {
        "vae": parts.vae,
        "unet": parts.unet,
        "scheduler": diffusers.EulerDiscreteScheduler(**settings),
        "tokenizer": CLIPTokenizer.from_pretrained(folder / "tokenizer"),
    }
    if "clip_g" in parts.texts:
        made = diffusers.StableDiffusionXLPipeline(
            **common,
            tokenizer_2=CLIPTokenizer.from_pretrained(folder / "tokenizer_2"),
            text_encoder=CLIPTextModel.from_pretrained(folder / "text_encoder"),
            text_encoder_2=CLIPTextModelWithProjection.from_pretrained(folder / "text_encoder_2"),
            force_zeros_for_empty_prompt=False,
            add_watermarker=False,
        )
    else:
        made = diffusers.StableDiffusionPipeline(
            **common,
            text_encoder=CLIPTextModel.from_pretrained(folder / "text_encoder"),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
    made.set_progress_bar_config(disable=True)
    return made


@torch.no_grad()
def ours(path: Path, noise: Tensor) -> Tensor:
    """The picture that our store's networks make of `noise` in Euler steps."""
    store = ModelStore(resolve=lambda ref: path, device="cpu", dtype="fp32", budget_bytes=10**9)
    file = FileRef(kind="checkpoints", name=path.name, fingerprint="test")
    with store.text_encoder(Clip(files=(file,))) as encoder:
        texts = [encoder.encode(text) for text in (NEGATIVE, PROMPT)]
    with store.network(Model(file=file)) as network:
        scene = LatentScene(latent=noise, noise=noise)
        entries = [ConditioningEntry(embeddings=text.embeddings, pooled=text.pooled) for text in texts]
        conditions = [network.conditions(entry, scene) for entry in entries]
        latent = network.latent_format.unscaled(_euler(network, noise, conditions))
    with store.vae(Vae(file=file)) as codec:
        return codec.decode(latent)


def _euler(network: Network, noise: Tensor, conditions: list[dict[str, Tensor]]) -> Tensor:
    space = network.parameterization
    table = space.sigmas
    times = torch.linspace(len(table) - 1, 0, STEPS)
    sigmas = [*(space.sigma(time) for time in times), torch.tensor(0.0)]
    x = noise * sigmas[0]
    for time, now, after in zip(times, sigmas, sigmas[1:], strict=False):
        denoised = [
            space.denoised(x, network(space.scale_input(x, now), time[None], condition), now)
            for condition in conditions
        ]
        guided = denoised[0] + SCALE * (denoised[1] - denoised[0])
        x = x + (x - guided) / now * (after - now)
    return x


CASES = {
    "sd1": (models.sd1_parts, {}),
    "sd1-v": (models.sd1_parts, {"prediction_type": "v_prediction"}),
    "sdxl": (models.sdxl_parts, {}),
}


@pytest.mark.parametrize("case", CASES)
def test_pictures_equal_diffusers(
    case: str, tmp_path: Path, tiny_models: TinyModels, no_network: None
) -> None:
    make, scheduler = CASES[case]
    parts = make()
    folder = folder_for(tmp_path / "folder", parts, scheduler)
    noise = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(3))
    theirs = pipeline(folder, parts, scheduler)(
        prompt=PROMPT,
        negative_prompt=NEGATIVE,
        num_inference_steps=STEPS,
        guidance_scale=SCALE,
        latents=noise.clone(),
        output_type="pt",
        height=64,
        width=64,
    ).images.movedim(1, -1)
    metadata = {"graphcore.config": {"scheduler": scheduler}} if scheduler else None
    file = getattr(tiny_models, case.partition("-")[0])(metadata=metadata)
    for path in (file, folder):
        torch.testing.assert_close(ours(path, noise), theirs, atol=1e-4, rtol=0)


def test_a_folder_without_its_tokenizer_is_told(tmp_path: Path) -> None:
    from graphcore.errors import ModelFileError

    folder = folder_for(tmp_path / "folder", models.sd1_parts(), {})
    for place in ("tokenizer", "tokenizer_2"):
        shutil.rmtree(folder / place)
    with pytest.raises(ModelFileError, match="No tokenizer for folder"):
        ours(folder, torch.randn(1, 4, 8, 8))
