"""Where TAESD's decoder for a model's latents is there, previews are what it makes of them; else they are rough."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image as Pillow
from safetensors.torch import save_file

from graphcore import Context, detached_context
from graphcore.context import Preview
from nodes.conditioning.text import clip_encode
from nodes.latents.making import empty_latent_image
from nodes.latents.vae import vae_decode
from nodes.models.loaders import load_checkpoint, load_vae
from nodes.sampling.ksamplers import k_sampler
from tests.integration.test_tiny_vaes_equal_diffusers import by_the_author, tiny
from tests.models import TinyModels


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    for kind in ("checkpoints", "vae_approx", "vae"):
        (folder / kind).mkdir()
    path = TinyModels(folder / "checkpoints").sd1()
    path.rename(folder / "checkpoints" / "sd.safetensors")
    return folder


def sampled(folder: Path, **settings: Any) -> tuple[Context, list[Preview | None], Any]:
    """A short run and its previews."""
    ctx = detached_context(models_dirs=(folder,), device="cpu", dtype="fp32", **settings)
    told: list[Preview | None] = []
    ctx.listener = lambda done, total, preview: told.append(preview)
    ctx.previews = True
    model, clip, _ = load_checkpoint(ctx, "sd.safetensors")
    text = clip_encode(ctx, "cat", clip)
    latent = empty_latent_image(64, 48, 1)
    result = k_sampler(
        ctx,
        model=model,
        seed=1,
        steps=2,
        cfg=1.0,
        sampler_name="euler",
        scheduler="normal",
        positive=text,
        negative=text,
        latent_image=latent,
        denoise=1.0,
    )
    return ctx, told, result


def shown(preview: Preview | None) -> torch.Tensor:
    assert preview is not None
    picture = Pillow.open(io.BytesIO(preview.data)).convert("RGB")
    pixels = torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8)
    return pixels.reshape(picture.height, picture.width, 3).float() / 255


def test_the_last_preview_is_the_result_as_taesd_decodes_it(folder: Path) -> None:
    save_file(by_the_author(tiny())[1], folder / "vae_approx" / "taesd_decoder.safetensors")
    ctx, told, result = sampled(folder)
    save_file(tiny().state_dict(), folder / "vae" / "t.safetensors")
    pixels = vae_decode(ctx, result, load_vae(ctx, "t.safetensors")).pixels[0]
    found = shown(told[-1])
    assert found.shape == (48, 64, 3)
    assert (found - pixels).abs().mean() < 0.05
    _, rough, _ = sampled(folder, preview_method="latent2rgb")
    assert (shown(rough[-1]) - pixels).abs().mean() > (found - pixels).abs().mean()


def test_a_wrong_file_is_told_and_stops_nothing(folder: Path) -> None:
    save_file({"a.weight": torch.zeros(2)}, folder / "vae_approx" / "taesd_decoder.safetensors")
    ctx, told, _ = sampled(folder)
    assert all(preview is not None for preview in told)
    assert any("no decoder of TAESD" in str(item.get("text")) for item in ctx.shown)
