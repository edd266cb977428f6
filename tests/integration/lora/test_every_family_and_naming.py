"""LoRAs in the names that trainers use are found in every family: kohya, PEFT, diffusers, OneTrainer, generic."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from graphcore import ModelFileError
from nodes.diffusion.checkpoint import open_checkpoint
from nodes.diffusion.patches.adapter_file import open_adapters
from nodes.diffusion.patches.lora import LoraPatcher, fit
from nodes.values import FileRef, LoraPatch
from tests import models

FILE = FileRef(kind="loras", name="a", fingerprint="sha256:00")
DOWN = "down_blocks.0.attentions.0"
SECOND = "down_blocks.1.attentions.0"
MIDDLE = "mid_block.attentions.0"
UP = "up_blocks.0.attentions"
NAMES = {
    "sd2": {
        "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q": (
            f"{DOWN}.transformer_blocks.0.attn1.to_q"
        ),
        "lora_unet_down_blocks_0_attentions_0_proj_in": f"{DOWN}.proj_in",
        f"unet.{MIDDLE}.transformer_blocks.0.attn2.to_v": f"{MIDDLE}.transformer_blocks.0.attn2.to_v",
        "diffusion_model.input_blocks.1.1.transformer_blocks.0.attn1.to_q": (
            f"{DOWN}.transformer_blocks.0.attn1.to_q"
        ),
    },
    "sdxl": {
        "lora_unet_input_blocks_3_1_transformer_blocks_0_attn1_to_q": (
            f"{SECOND}.transformer_blocks.0.attn1.to_q"
        ),
        "lora_unet_middle_block_1_transformer_blocks_1_ff_net_0_proj": (
            f"{MIDDLE}.transformer_blocks.1.ff.net.0.proj"
        ),
        "lora_unet_output_blocks_0_1_proj_out": f"{UP}.0.proj_out",
        f"unet.{UP}.1.transformer_blocks.1.attn2.to_k": f"{UP}.1.transformer_blocks.1.attn2.to_k",
    },
    "sd3": {
        "transformer.transformer_blocks.1.attn.to_q": "transformer_blocks.1.attn.to_q",
        "lora_transformer_transformer_blocks_1_attn_add_k_proj": "transformer_blocks.1.attn.add_k_proj",
        "lora_unet_joint_blocks_1_x_block_mlp_fc1": "transformer_blocks.1.ff.net.0.proj",
        "diffusion_model.joint_blocks.0.context_block.attn.proj": "transformer_blocks.0.attn.to_add_out",
        "diffusion_model.x_embedder.proj": "pos_embed.proj",
    },
}


def noise(*shape: int, seed: int = 3) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def patch(
    family: str, tiny_models: models.TinyModels, file: Path
) -> tuple[Mapping[str, Tensor], dict[str, Tensor]]:
    part = open_checkpoint(getattr(tiny_models, family)()).part("unet")
    weights = getattr(models, f"{family}_parts")().unet.state_dict()
    return LoraPatcher(lambda _: file)(part, weights, (LoraPatch(file=FILE, strength=1.0),)), weights


@pytest.mark.parametrize(("family", "name"), [(family, name) for family in NAMES for name in NAMES[family]])
def test_a_name_means_its_layer(
    family: str, name: str, tiny_models: models.TinyModels, tmp_path: Path
) -> None:
    target = f"{NAMES[family][name]}.weight"
    shape = getattr(models, f"{family}_parts")().unet.state_dict()[target].shape
    up, down = noise(shape[0], 2), noise(2, *shape[1:], seed=4)
    if len(shape) == 4:
        up = up[:, :, None, None]
    save_file({f"{name}.lora_up.weight": up, f"{name}.lora_down.weight": down}, tmp_path / "a")
    changed, weights = patch(family, tiny_models, tmp_path / "a")
    assert list(changed) == [target]
    added = (up.flatten(1) @ down.flatten(1)).reshape(shape)
    torch.testing.assert_close(changed[target], weights[target] + added)


@pytest.mark.parametrize("prefix", ["diffusion_model.", "lora_unet_"])
@pytest.mark.parametrize("kind", ["lora", "loha", "diff"])
def test_query_key_and_value_of_sd3_are_taken_apart(
    prefix: str, kind: str, tiny_models: models.TinyModels, tmp_path: Path
) -> None:
    name = "joint_blocks.1.x_block.attn.qkv"
    name = prefix + (name.replace(".", "_") if prefix.endswith("_") else name)
    tensors: dict[str, dict[str, Tensor]] = {
        "lora": {
            "lora_up.weight": noise(192, 3),
            "lora_down.weight": noise(3, 64, seed=4),
            "alpha": torch.tensor(1.5),
        },
        "loha": {
            "hada_w1_a": noise(192, 3),
            "hada_w1_b": noise(3, 64, seed=4),
            "hada_w2_a": noise(192, 3, seed=5),
            "hada_w2_b": noise(3, 64, seed=6),
        },
        "diff": {"diff": noise(192, 64)},
    }
    given = tensors[kind]
    save_file({f"{name}.{role}": tensor for role, tensor in given.items()}, tmp_path / "a")
    whole = {
        "lora": lambda: given["lora_up.weight"] @ given["lora_down.weight"] * 0.5,
        "loha": lambda: (given["hada_w1_a"] @ given["hada_w1_b"]) * (given["hada_w2_a"] @ given["hada_w2_b"]),
        "diff": lambda: given["diff"],
    }[kind]()
    changed, weights = patch("sd3", tiny_models, tmp_path / "a")
    layers = [f"transformer_blocks.1.attn.to_{letter}.weight" for letter in "qkv"]
    assert set(changed) == set(layers)
    for layer, rows in zip(layers, whole.chunk(3), strict=True):
        torch.testing.assert_close(changed[layer], weights[layer] + rows, rtol=1e-4, atol=1e-5)


def test_what_cannot_be_taken_apart_is_told(tiny_models: models.TinyModels, tmp_path: Path) -> None:
    name = "diffusion_model.joint_blocks.1.x_block.attn.qkv"
    save_file({f"{name}.lokr_w1": noise(3, 1), f"{name}.lokr_w2": noise(64, 64)}, tmp_path / "a")
    with pytest.raises(ModelFileError, match="cannot be taken apart"):
        patch("sd3", tiny_models, tmp_path / "a")


def test_the_t5_of_sd3(tiny_models: models.TinyModels, tmp_path: Path) -> None:
    part = open_checkpoint(tiny_models.sd3()).part("t5")
    weights = models.sd3_parts().texts["t5"].state_dict()
    layer = "encoder.block.0.layer.0.SelfAttention.q"
    up, down = (
        noise(weights[f"{layer}.weight"].shape[0], 2),
        noise(2, weights[f"{layer}.weight"].shape[1], seed=4),
    )
    for name in (f"lora_te3_{layer.replace('.', '_')}", f"text_encoder_3.{layer}"):
        save_file({f"{name}.lora_up.weight": up, f"{name}.lora_down.weight": down}, tmp_path / "a")
        changed = LoraPatcher(lambda _: tmp_path / "a")(part, weights, (LoraPatch(file=FILE, strength=1.0),))
        torch.testing.assert_close(changed[f"{layer}.weight"], weights[f"{layer}.weight"] + up @ down)


@pytest.mark.parametrize("family", ["sd2", "sdxl", "sd3"])
def test_every_key_that_peft_writes_is_found(
    family: str, tiny_models: models.TinyModels, tmp_path: Path
) -> None:
    network: Any = getattr(models, f"{family}_parts")().unet
    config = peft.LoraConfig(r=2, target_modules=["to_q", "to_k", "to_v", "to_out.0"])
    copied = type(network)(**dict(network.config))
    wrapped = peft.get_peft_model(copied, config)
    prefix = "transformer." if family == "sd3" else "unet."
    state = {
        prefix + name.removeprefix("base_model.model."): tensor
        for name, tensor in peft.get_peft_model_state_dict(wrapped).items()
    }
    save_file(state, tmp_path / "a")
    adapters = open_adapters(tmp_path / "a")
    part = open_checkpoint(getattr(tiny_models, family)()).part("unet")
    shapes = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    found = fit(adapters, part, shapes)
    assert found.misfit is None
    assert found.matched == {entry.module for entry in adapters.entries}
    assert not adapters.unknown
