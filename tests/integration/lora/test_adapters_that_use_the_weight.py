"""GLoRA, OFT and BOFT, which depend on the weight that they change, do what their papers say."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from graphcore import ModelFileError
from nodes.diffusion.checkpoint import open_checkpoint
from nodes.diffusion.patches.lora import LoraPatcher
from nodes.values import FileRef, LoraPatch
from tests.models import TinyModels, sd1_parts, sd3_parts
from tests.random_tensors import seeded

SQUARE = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"
WIDE = "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k"
CONVOLUTION = "down_blocks.0.resnets.0.conv2"
LAYERS = (SQUARE, WIDE, CONVOLUTION)


def before(module: str) -> Tensor:
    weight: Tensor = sd1_parts().unet.state_dict()[f"{module}.weight"]
    return weight


def after(
    models: TinyModels, folder: Path, module: str, tensors: Mapping[str, Tensor], strength: float = 1.0
) -> Tensor:
    name = "lora_unet_" + module.replace(".", "_")
    save_file({f"{name}.{role}": t.contiguous() for role, t in tensors.items()}, folder / "a")
    part = open_checkpoint(models.sd1()).part("unet")
    patch = LoraPatch(file=FileRef(kind="loras", name="a", fingerprint=""), strength=strength)
    changed = LoraPatcher(lambda _: folder / "a")(part, sd1_parts().unet.state_dict(), (patch,))
    return changed[f"{module}.weight"]


def cayley(block: Tensor) -> Tensor:
    skew = block - block.T
    one = torch.eye(len(block))
    return (one + skew) @ torch.linalg.inv(one - skew)


@pytest.mark.parametrize("module", LAYERS)
@pytest.mark.parametrize("older", [False, True])
def test_glora_mixes_the_columns_and_adds(
    tiny_models: TinyModels, tmp_path: Path, module: str, older: bool
) -> None:
    """W + alpha / rank (W A1 A2 + B1 B2); the first files had each pair the other way round."""
    weight = before(module)
    tail = [1] * (weight.ndim - 2)
    rows, columns = weight.shape[:2]
    a1, a2 = seeded(columns, 3, *tail) * 0.1, seeded(3, columns, *tail, seed=1) * 0.1
    b1, b2 = seeded(rows, 3, *tail, seed=2), seeded(3, *weight.shape[1:], seed=3)
    named = {"a1": a1, "a2": a2, "b1": b1, "b2": b2}
    if older:
        named = {"a1": a2, "a2": a1, "b1": b2, "b2": b1}
    tensors = {f"{role}.weight": tensor for role, tensor in named.items()}
    found = after(tiny_models, tmp_path, module, {**tensors, "alpha": torch.tensor(1.5)}, 0.5)
    flat = weight.transpose(1, -1) @ a1.flatten(1) @ a2.flatten(1)
    added = flat.transpose(1, -1) + (b1.flatten(1) @ b2.flatten(1)).reshape(weight.shape)
    torch.testing.assert_close(found, weight + 0.5 * 0.5 * added, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("module", LAYERS)
def test_oft_turns_blocks_of_rows(tiny_models: TinyModels, tmp_path: Path, module: str) -> None:
    weight = before(module)
    blocks = seeded(4, len(weight) // 4, len(weight) // 4) * 0.2
    turn = torch.block_diag(*(cayley(block) for block in blocks))
    torch.testing.assert_close(turn @ turn.T, torch.eye(len(weight)), rtol=0, atol=1e-5)
    found = after(tiny_models, tmp_path, module, {"oft_blocks": blocks})
    torch.testing.assert_close(found.flatten(1), turn.T @ weight.flatten(1), rtol=1e-4, atol=1e-5)
    half = after(tiny_models, tmp_path, module, {"oft_blocks": blocks}, 0.5)
    torch.testing.assert_close(half, (found + weight) / 2, rtol=1e-4, atol=1e-5)


def test_oft_is_held_within_its_limit(tiny_models: TinyModels, tmp_path: Path) -> None:
    """alpha times the rows is the largest norm of the skew-symmetric parts."""
    weight = before(SQUARE)
    blocks = seeded(4, 8, 8)
    norm = float((blocks - blocks.mT).norm())
    limit = {"oft_blocks": blocks, "alpha": torch.tensor(norm / 2 / len(weight))}
    found = after(tiny_models, tmp_path, SQUARE, limit)
    expected = after(tiny_models, tmp_path, SQUARE, {"oft_blocks": blocks / 2})
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    loose = after(tiny_models, tmp_path, SQUARE, {**limit, "alpha": torch.tensor(100.0)})
    torch.testing.assert_close(loose, after(tiny_models, tmp_path, SQUARE, {"oft_blocks": blocks}))


def test_rescale_stretches_the_rows(tiny_models: TinyModels, tmp_path: Path) -> None:
    blocks, stretch = seeded(4, 8, 8) * 0.1, 1 + 0.3 * seeded(32, 1)
    plain = after(tiny_models, tmp_path, SQUARE, {"oft_blocks": blocks})
    found = after(tiny_models, tmp_path, SQUARE, {"oft_blocks": blocks, "rescale": stretch})
    torch.testing.assert_close(found, plain * stretch)


@pytest.mark.parametrize("module", LAYERS)
def test_boft_turns_and_shuffles_by_turns(tiny_models: TinyModels, tmp_path: Path, module: str) -> None:
    """Each factor is orthogonal, and mixes rows that are farther apart than those of the one before."""
    weight = before(module)
    rows = len(weight)
    blocks = seeded(3, rows // 4, 4, 4) * 0.3
    turn = torch.eye(rows)
    for number, factor in enumerate(blocks):
        order = torch.arange(rows).reshape(-1, 2, 2**number * 2).transpose(1, 2).flatten()
        shuffle = torch.eye(rows)[order]
        turn = shuffle.T @ torch.block_diag(*(cayley(block) for block in factor)) @ shuffle @ turn
    found = after(tiny_models, tmp_path, module, {"oft_blocks": blocks})
    torch.testing.assert_close(found.flatten(1), turn @ weight.flatten(1), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.norm(), weight.norm(), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(found, weight, atol=1e-2)


def test_a_turn_of_no_angle_and_one_of_no_strength_change_nothing(
    tiny_models: TinyModels, tmp_path: Path
) -> None:
    for blocks, strength in ((torch.zeros(4, 8, 8), 1.0), (seeded(4, 8, 8), 0.0)):
        found = after(tiny_models, tmp_path, SQUARE, {"oft_blocks": blocks}, strength)
        torch.testing.assert_close(found, before(SQUARE))


def test_what_turns_query_key_and_value_at_once_cannot_be_taken_apart(
    tiny_models: TinyModels, tmp_path: Path
) -> None:
    save_file({"lora_unet_joint_blocks_0_x_block_attn_qkv.oft_blocks": seeded(4, 48, 48)}, tmp_path / "a")
    part = open_checkpoint(tiny_models.sd3()).part("unet")
    patch = LoraPatch(file=FileRef(kind="loras", name="a", fingerprint=""), strength=1.0)
    with pytest.raises(ModelFileError, match="cannot be taken apart"):
        LoraPatcher(lambda _: tmp_path / "a")(part, sd3_parts().unet.state_dict(), (patch,))
