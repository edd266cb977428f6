"""CLIP_VISION and UPSCALE_MODEL objects, as packs call them, do what our nodes do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from graphcore import Context, Registry, detached_context
from nodes.conditioning.clip_vision import clip_vision_encode, load_clip_vision
from nodes.diffusion.upscaling.compact import SrvggNet
from nodes.packs.exchange import from_comfy, to_comfy
from nodes.packs.host import PackHost, running_in
from nodes.packs.imports import install_shims
from nodes.pictures.upscaling import load_upscale_model, upscale_image_with_model
from nodes.values import Image
from tests.models import seeded
from tests.steering_models import put, vision_tower


@pytest.fixture
def ctx(tmp_path: Path) -> Iterator[Context]:
    made = detached_context(models_dirs=(tmp_path,), device="cpu", dtype="fp32")
    install_shims(PackHost(registry=Registry(), settings=made.settings))
    with running_in(made):
        yield made


def test_pictures_are_enlarged(ctx: Context, tmp_path: Path) -> None:
    import comfy.utils

    (tmp_path / "upscale_models").mkdir()
    network = seeded(lambda: SrvggNet(width=8, convolutions=2, scale=2))
    save_file(network.state_dict(), tmp_path / "upscale_models" / "a.safetensors")
    value = load_upscale_model(ctx, "a.safetensors")
    model = to_comfy("UPSCALE_MODEL", value)
    pixels = torch.rand(1, 12, 16, 3, generator=torch.Generator().manual_seed(1))
    expected = upscale_image_with_model(ctx, value, Image(pixels)).pixels
    made = model.to("cpu").eval()(pixels.movedim(-1, 1)).movedim(1, -1)
    assert model.scale == 2
    torch.testing.assert_close(made, expected)
    tiled = comfy.utils.tiled_scale(
        pixels.movedim(-1, 1), lambda part: model(part), 64, 64, 8, upscale_amount=model.scale
    )
    torch.testing.assert_close(tiled.movedim(1, -1), expected)
    assert from_comfy("UPSCALE_MODEL", model) is value


def test_pictures_are_seen(ctx: Context, tmp_path: Path) -> None:
    put(tmp_path, "vision.safetensors", vision_tower().state_dict(), kind="clip_vision")
    value = load_clip_vision(ctx, "vision.safetensors")
    vision = to_comfy("CLIP_VISION", value)
    pixels = torch.rand(2, 30, 40, 3, generator=torch.Generator().manual_seed(1))
    seen = vision.encode_image(pixels)
    expected = clip_vision_encode(ctx, clip_vision=value, image=Image(pixels), crop="center")
    assert torch.equal(seen.image_embeds, expected.embeds)
    assert torch.equal(seen["penultimate_hidden_states"], expected.penultimate_hidden)
    back = from_comfy("CLIP_VISION_OUTPUT", seen)
    assert torch.equal(back.last_hidden, expected.last_hidden)
