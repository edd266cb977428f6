"""An adapter file that is wrong in itself is refused in one sentence, and the model stays as it was."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from graphcore import Context, ModelFileError, detached_context
from nodes.diffusion.store import ModelStore
from nodes.models.loaders import load_checkpoint
from nodes.models.lora import lora_model_only
from tests.models import TinyModels, sd1_parts
from tests.random_tensors import seeded

WEIGHT = "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight"
MODULE = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k"
ROWS, COLUMNS = 32, 64
LORA = {"lora_up.weight": seeded(ROWS, 2), "lora_down.weight": seeded(2, COLUMNS)}

DAMAGED: dict[str, dict[str, Tensor]] = {
    "ranks that differ": {**LORA, "lora_up.weight": seeded(ROWS, 1)},
    "no dimensions": {"lora_up.weight": torch.tensor(1.0), "lora_down.weight": torch.tensor(1.0)},
    "one dimension": {"lora_up.weight": seeded(ROWS), "lora_down.weight": seeded(COLUMNS)},
    "several alphas": {**LORA, "alpha": torch.tensor([1.0, 2.0])},
    "an alpha that is no number": {**LORA, "alpha": torch.tensor(float("nan"))},
    "weights that are no numbers": {**LORA, "lora_up.weight": torch.full((ROWS, 2), float("inf"))},
    "magnitudes of another shape": {**LORA, "dora_scale": seeded(5, 3)},
    "factors of another size": {"lokr_w1": seeded(3, 3), "lokr_w2": seeded(5, 5)},
    "factors without dimensions": {"lokr_w1": torch.tensor(1.0), "lokr_w2": torch.tensor(2.0)},
    "products of another size": {
        "hada_w1_a": seeded(3, 2), "hada_w1_b": seeded(2, 4), "hada_w2_a": seeded(3, 2), "hada_w2_b": seeded(2, 4)
    },
    "a difference of another size": {"diff": seeded(3, 3)},
    "blocks that do not make up the rows": {"oft_blocks": seeded(5, 4, 4)},
    "blocks that are no squares": {"oft_blocks": seeded(8, 4, 2)},
    "layers of another size": {
        "a1.weight": seeded(9, 2), "a2.weight": seeded(2, 9), "b1.weight": seeded(9, 2), "b2.weight": seeded(2, 9)
    },
    "weights in whole numbers": {name: (tensor * 9).to(torch.int8) for name, tensor in LORA.items()},
}  # fmt: skip


@pytest.fixture
def ctx(tiny_models: TinyModels, tmp_path: Path) -> Context:
    (tmp_path / "loras").mkdir()
    return detached_context(models_dirs=(tiny_models.folder, tmp_path), device="cpu", dtype="fp32")


@pytest.mark.parametrize("damage", DAMAGED)
def test_damage_is_told(ctx: Context, tiny_models: TinyModels, tmp_path: Path, damage: str) -> None:
    tensors = {f"{MODULE}.{role}": tensor.clone() for role, tensor in DAMAGED[damage].items()}
    save_file(tensors, tmp_path / "loras" / "bad.safetensors")
    model = load_checkpoint(ctx, tiny_models.sd1().name).model
    store = ctx.service(ModelStore)
    with pytest.raises(ModelFileError), store.network(lora_model_only(ctx, model, "bad.safetensors")):
        pytest.fail("a damaged adapter was applied")
    with store.network(model) as network:
        weights = network.module.state_dict()  # type: ignore[attr-defined]
    assert torch.equal(weights[WEIGHT], sd1_parts().unet.state_dict()[WEIGHT])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.float8_e4m3fn])
def test_any_float_will_do(ctx: Context, tiny_models: TinyModels, tmp_path: Path, dtype: torch.dtype) -> None:
    tensors = {f"{MODULE}.{role}": tensor.to(dtype) for role, tensor in LORA.items()}
    save_file(tensors, tmp_path / "loras" / "good.safetensors")
    model = load_checkpoint(ctx, tiny_models.sd1().name).model
    with ctx.service(ModelStore).network(lora_model_only(ctx, model, "good.safetensors")) as network:
        weights = network.module.state_dict()  # type: ignore[attr-defined]
    up, down = (tensors[f"{MODULE}.{role}"].float() for role in LORA)
    torch.testing.assert_close(weights[WEIGHT], sd1_parts().unet.state_dict()[WEIGHT] + up @ down)
