"""A video model, and Zero123, saved as one file with image encoder and VAE, load again as they were."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from graphcore import Context, detached_context
from nodes.diffusion.clip_vision import vision_encoder
from nodes.diffusion.store import ModelStore
from nodes.models.merging import model_merge_simple
from nodes.models.model_files import save_image_only_checkpoint
from nodes.video.models import ImageOnlyCheckpoint, image_only_checkpoint_loader
from tests.integration.video.test_zero123_sees_things_from_elsewhere import write_zero123
from tests.video_models import write_svd


@pytest.fixture
def ctx(tmp_path: Path) -> Context:
    write_svd(tmp_path)
    write_zero123(tmp_path)
    return detached_context(models_dirs=(tmp_path,), output_dir=tmp_path, device="cpu", dtype="fp32")


def weights(ctx: Context, loaded: ImageOnlyCheckpoint) -> dict[str, Any]:
    store = ctx.service(ModelStore)
    with (
        store.network_module(loaded.model) as network,
        store.vae(loaded.vae) as codec,
        vision_encoder(store, loaded.clip_vision) as encoder,
    ):
        modules: dict[str, Any] = {"unet": network, "vae": codec.module, "vision": encoder.module}
        return {
            f"{part}.{name}": tensor.clone()
            for part, module in modules.items()
            for name, tensor in module.state_dict().items()
        }


@pytest.mark.parametrize("name", ["svd", "zero123"])
def test_it_loads_again(ctx: Context, tmp_path: Path, name: str) -> None:
    first = image_only_checkpoint_loader(ctx, f"{name}.safetensors")
    save_image_only_checkpoint(ctx, first.model, first.clip_vision, first.vae, f"checkpoints/again-{name}")
    written = f"again-{name}_00001_.safetensors"
    again = image_only_checkpoint_loader(ctx, written)
    one, other = weights(ctx, first), weights(ctx, again)
    assert one.keys() == other.keys()
    assert all(torch.equal(one[key], other[key]) for key in one)
    source, copy = (load_file(tmp_path / "checkpoints" / file) for file in (f"{name}.safetensors", written))
    assert source.keys() == copy.keys()
    store = ctx.service(ModelStore)
    assert store.checkpoint(again.model.file).family == store.checkpoint(first.model.file).family
    with safe_open(tmp_path / "checkpoints" / written, framework="pt") as file:
        assert "graphcore.config" in file.metadata()


def test_a_merge_is_in_the_weights(ctx: Context) -> None:
    first = image_only_checkpoint_loader(ctx, "svd.safetensors")
    merged = model_merge_simple(ctx, first.model, first.model, 0.25)
    save_image_only_checkpoint(ctx, merged, first.clip_vision, first.vae, "checkpoints/merged")
    again = weights(ctx, image_only_checkpoint_loader(ctx, "merged_00001_.safetensors"))
    for key, tensor in weights(ctx, first).items():
        torch.testing.assert_close(again[key], tensor)
