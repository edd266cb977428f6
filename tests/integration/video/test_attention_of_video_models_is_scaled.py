"""UNetTemporalAttentionMultiply scales what attention gives within frames and over frames, each by its own factor."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from graphcore import Context, InputError, detached_context
from nodes.diffusion.store import ModelStore
from nodes.guidance.model_patches import unet_temporal_attention_multiply
from nodes.models.loaders import load_checkpoint
from nodes.values import Model
from nodes.video.models import image_only_checkpoint_loader
from tests.models import TinyModels
from tests.video_models import write_svd

FACTORS = {
    ("transformer_blocks", "attn1"): 0.5,
    ("temporal_transformer_blocks", "attn1"): 2.0,
    ("transformer_blocks", "attn2"): 1.0,
    ("temporal_transformer_blocks", "attn2"): 3.0,
}


@pytest.fixture
def ctx(tmp_path: Path, tiny_models: TinyModels) -> Context:
    write_svd(tmp_path)
    return detached_context(models_dirs=(tmp_path, tiny_models.folder), device="cpu", dtype="fp32")


def weights(ctx: Context, model: Model) -> dict[str, torch.Tensor]:
    with ctx.service(ModelStore).network_module(model) as network:
        return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def test_each_kind_by_its_own_factor(ctx: Context) -> None:
    model = image_only_checkpoint_loader(ctx, "svd.safetensors").model
    before = weights(ctx, model)
    after = weights(ctx, unet_temporal_attention_multiply(ctx, model, 0.5, 2.0, 1.0, 3.0))
    changed = 0
    for name, tensor in before.items():
        words = name.split(".")
        factor = next(
            (
                factor
                for (blocks, layer), factor in FACTORS.items()
                if blocks in words and layer in words and "to_out" in words
            ),
            1.0,
        )
        changed += factor != 1
        assert torch.equal(after[name], tensor * factor), name
    assert changed


def test_models_of_pictures_and_transformers(ctx: Context, tiny_models: TinyModels) -> None:
    picture = load_checkpoint(ctx, tiny_models.sd1().name).model
    before, after = (
        weights(ctx, picture),
        weights(ctx, unet_temporal_attention_multiply(ctx, picture, 1, 5, 1, 5)),
    )
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
    with pytest.raises(InputError, match="UNets"):
        unet_temporal_attention_multiply(ctx, load_checkpoint(ctx, tiny_models.sd3().name).model, 2.0)
    assert unet_temporal_attention_multiply(ctx, picture) == picture
