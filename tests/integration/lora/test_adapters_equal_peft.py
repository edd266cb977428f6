"""Patched weights give what PEFT's adapters give on the same weights, for every kind and naming that we read."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from nodes.diffusion.checkpoint import open_checkpoint
from nodes.diffusion.patches.lora import LoraPatcher
from nodes.values import FileRef, LoraPatch
from tests.models import TinyModels, sd1_parts, sdxl_parts

ATTENTION = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"
CONVOLUTION = "down_blocks.0.resnets.0.conv1"
FILE = FileRef(kind="loras", name="adapter.safetensors", fingerprint="")


def noise(*shape: int, seed: int = 3) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * 0.1


def patched_unet(
    models: TinyModels,
    path: Path,
    tensors: Mapping[str, Tensor],
    strength: float,
    metadata: dict[str, str] | None = None,
) -> dict[str, Tensor]:
    """What our patcher makes of the tiny SD 1.x UNet's weights."""
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path, metadata)
    part = open_checkpoint(models.sd1()).part("unet")
    weights = sd1_parts().unet.state_dict()
    changed = LoraPatcher(lambda file: path)(part, weights, (LoraPatch(file=FILE, strength=strength),))
    return dict(changed)


def peft_weights(
    config: Any, prepare: Callable[[nn.Module], None] = lambda module: None
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The merged weights of the tiny UNet with a random PEFT adapter, and the adapter's tensors."""
    import copy

    unet = copy.deepcopy(sd1_parts().unet)
    model = peft.get_peft_model(unet, config)
    with torch.no_grad():
        for number, (name, parameter) in enumerate(model.named_parameters()):
            if any(mark in name for mark in ("lora_", "hada_", "lokr_")) and "magnitude" not in name:
                parameter.copy_(noise(*parameter.shape, seed=number))
            if "magnitude" in name:
                parameter.mul_(1.25)
    adapter = {
        name: tensor.detach().clone() for name, tensor in peft.get_peft_model_state_dict(model).items()
    }
    merged = model.merge_and_unload().state_dict()
    return {name: tensor.detach() for name, tensor in merged.items()}, adapter


def assert_same(changed: Mapping[str, Tensor], merged: Mapping[str, Tensor], names: list[str]) -> None:
    assert sorted(changed) == sorted(f"{name}.weight" for name in names)
    for name, tensor in changed.items():
        assert not torch.equal(tensor, sd1_parts().unet.state_dict()[name]), f"{name} did not change"
        torch.testing.assert_close(tensor, merged[name], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("prefix", ["", "unet.", "base_model.model."])
def test_peft_lora_on_matrices_and_convolutions(tiny_models: TinyModels, tmp_path: Path, prefix: str) -> None:
    config = peft.LoraConfig(r=4, lora_alpha=4, target_modules=[ATTENTION, CONVOLUTION])
    merged, adapter = peft_weights(config)
    named = {prefix + name.removeprefix("base_model.model."): tensor for name, tensor in adapter.items()}
    assert_same(patched_unet(tiny_models, tmp_path / "a", named, 1.0), merged, [ATTENTION, CONVOLUTION])


def test_kohya_names_and_alpha(tiny_models: TinyModels, tmp_path: Path) -> None:
    merged, adapter = peft_weights(
        peft.LoraConfig(r=4, lora_alpha=2, target_modules=[ATTENTION, CONVOLUTION])
    )
    named: dict[str, Tensor] = {}
    for module in (ATTENTION, CONVOLUTION):
        kohya = "lora_unet_" + module.replace(".", "_")
        named[f"{kohya}.lora_down.weight"] = adapter[f"base_model.model.{module}.lora_A.weight"]
        named[f"{kohya}.lora_up.weight"] = adapter[f"base_model.model.{module}.lora_B.weight"]
        named[f"{kohya}.alpha"] = torch.tensor(2.0)
    assert_same(patched_unet(tiny_models, tmp_path / "a", named, 1.0), merged, [ATTENTION, CONVOLUTION])


@pytest.mark.parametrize(
    "name",
    [
        "diffusion_model.input_blocks.1.1.transformer_blocks.0.attn1.to_q",
        "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn1.to_q",
        "lora_unet_input_blocks_1_1_transformer_blocks_0_attn1_to_q",
    ],
)
def test_original_block_names(tiny_models: TinyModels, tmp_path: Path, name: str) -> None:
    merged, adapter = peft_weights(peft.LoraConfig(r=4, lora_alpha=4, target_modules=[ATTENTION]))
    named = {
        f"{name}.lora_down.weight": adapter[f"base_model.model.{ATTENTION}.lora_A.weight"],
        f"{name}.lora_up.weight": adapter[f"base_model.model.{ATTENTION}.lora_B.weight"],
    }
    assert_same(patched_unet(tiny_models, tmp_path / "a", named, 1.0), merged, [ATTENTION])


def test_the_first_diffusers_names(tiny_models: TinyModels, tmp_path: Path) -> None:
    merged, adapter = peft_weights(peft.LoraConfig(r=4, lora_alpha=4, target_modules=[ATTENTION]))
    processor = f"unet.{ATTENTION.removesuffix('.to_q')}.processor.to_q_lora"
    named = {
        f"{processor}.down.weight": adapter[f"base_model.model.{ATTENTION}.lora_A.weight"],
        f"{processor}.up.weight": adapter[f"base_model.model.{ATTENTION}.lora_B.weight"],
    }
    assert_same(patched_unet(tiny_models, tmp_path / "a", named, 1.0), merged, [ATTENTION])


def test_dora_rescales_the_rows(tiny_models: TinyModels, tmp_path: Path) -> None:
    config = peft.LoraConfig(r=4, lora_alpha=4, use_dora=True, target_modules=[ATTENTION])
    merged, adapter = peft_weights(config)
    named = {name.removeprefix("base_model.model."): tensor for name, tensor in adapter.items()}
    assert any("magnitude" in name for name in named)
    assert_same(patched_unet(tiny_models, tmp_path / "a", named, 1.0), merged, [ATTENTION])


def test_dora_rescales_the_rows_of_convolutions_too(tiny_models: TinyModels, tmp_path: Path) -> None:
    """PEFT keeps their magnitudes as (1, rows, 1, 1); this one has as many columns as rows."""
    square = "down_blocks.0.resnets.0.conv2"
    config = peft.LoraConfig(r=4, lora_alpha=4, use_dora=True, target_modules=[square])
    merged, adapter = peft_weights(config)
    named = {name.removeprefix("base_model.model."): tensor for name, tensor in adapter.items()}
    assert_same(patched_unet(tiny_models, tmp_path / "a", named, 1.0), merged, [square])


def test_rank_stabilized_lora(tiny_models: TinyModels, tmp_path: Path) -> None:
    """What diffusers writes into the header says how an adapter without alpha is scaled."""
    config = peft.LoraConfig(r=4, lora_alpha=6, use_rslora=True, target_modules=[ATTENTION])
    merged, adapter = peft_weights(config)
    named = {name.replace("base_model.model.", "unet."): tensor for name, tensor in adapter.items()}
    said = {"unet.r": 4, "unet.lora_alpha": 6, "unet.use_rslora": True}
    metadata = {"lora_adapter_metadata": json.dumps(said)}
    assert_same(patched_unet(tiny_models, tmp_path / "a", named, 1.0, metadata), merged, [ATTENTION])


def test_loha(tiny_models: TinyModels, tmp_path: Path) -> None:
    config = peft.LoHaConfig(r=4, alpha=4, target_modules=[ATTENTION, CONVOLUTION])
    merged, adapter = peft_weights(config)
    named = {name.removeprefix("base_model.model."): tensor for name, tensor in adapter.items()}
    assert_same(patched_unet(tiny_models, tmp_path / "a", named, 1.0), merged, [ATTENTION, CONVOLUTION])


def test_loha_with_a_tucker_core(tiny_models: TinyModels, tmp_path: Path) -> None:
    config = peft.LoHaConfig(r=4, alpha=4, target_modules=[CONVOLUTION], use_effective_conv2d=True)
    merged, adapter = peft_weights(config)
    named = {name.removeprefix("base_model.model."): tensor for name, tensor in adapter.items()}
    assert any("hada_t1" in name for name in named)
    assert_same(patched_unet(tiny_models, tmp_path / "a", named, 1.0), merged, [CONVOLUTION])


@pytest.mark.parametrize("both", [False, True])
def test_lokr(tiny_models: TinyModels, tmp_path: Path, both: bool) -> None:
    config = peft.LoKrConfig(r=2, alpha=2, target_modules=[ATTENTION, CONVOLUTION], decompose_both=both)
    merged, adapter = peft_weights(config)
    named = {name.removeprefix("base_model.model."): tensor for name, tensor in adapter.items()}
    assert_same(patched_unet(tiny_models, tmp_path / "a", named, 1.0), merged, [ATTENTION, CONVOLUTION])


def test_locon_with_a_middle(tiny_models: TinyModels, tmp_path: Path) -> None:
    weight = sd1_parts().unet.state_dict()[f"{CONVOLUTION}.weight"]
    up, middle, down = (
        noise(weight.shape[0], 4, 1, 1),
        noise(4, 4, 3, 3, seed=4),
        noise(4, weight.shape[1], 1, 1, seed=5),
    )
    kohya = "lora_unet_" + CONVOLUTION.replace(".", "_")
    named = {
        f"{kohya}.lora_up.weight": up,
        f"{kohya}.lora_mid.weight": middle,
        f"{kohya}.lora_down.weight": down,
    }
    changed = patched_unet(tiny_models, tmp_path / "a", named, 1.0)
    picture = noise(1, weight.shape[1], 6, 6, seed=6)
    chained = nn.functional.conv2d(picture, down)
    chained = nn.functional.conv2d(nn.functional.conv2d(chained, middle, padding=1), up)
    expected = nn.functional.conv2d(picture, weight, padding=1) + chained
    torch.testing.assert_close(
        nn.functional.conv2d(picture, changed[f"{CONVOLUTION}.weight"], padding=1),
        expected,
        rtol=1e-4,
        atol=1e-5,
    )


def test_full_differences_of_weights_and_biases(tiny_models: TinyModels, tmp_path: Path) -> None:
    state = sd1_parts().unet.state_dict()
    module = "diffusion_model.input_blocks.0.0"
    weight, bias = noise(*state["conv_in.weight"].shape), noise(*state["conv_in.bias"].shape)
    changed = patched_unet(
        tiny_models, tmp_path / "a", {f"{module}.diff": weight, f"{module}.diff_b": bias}, 0.5
    )
    torch.testing.assert_close(changed["conv_in.weight"], state["conv_in.weight"] + 0.5 * weight)
    torch.testing.assert_close(changed["conv_in.bias"], state["conv_in.bias"] + 0.5 * bias)


def test_strength_scales_the_difference_and_several_add_up(tiny_models: TinyModels, tmp_path: Path) -> None:
    _, adapter = peft_weights(peft.LoraConfig(r=4, lora_alpha=4, target_modules=[ATTENTION]))
    named = {name.removeprefix("base_model.model."): tensor for name, tensor in adapter.items()}
    before = sd1_parts().unet.state_dict()[f"{ATTENTION}.weight"]
    whole = patched_unet(tiny_models, tmp_path / "a", named, 1.0)[f"{ATTENTION}.weight"] - before
    half = patched_unet(tiny_models, tmp_path / "a", named, 0.5)[f"{ATTENTION}.weight"] - before
    torch.testing.assert_close(half * 2, whole, rtol=1e-4, atol=1e-6)
    part = open_checkpoint(tiny_models.sd1()).part("unet")
    patches = (LoraPatch(file=FILE, strength=0.75), LoraPatch(file=FILE, strength=0.25))
    both = LoraPatcher(lambda file: tmp_path / "a")(part, sd1_parts().unet.state_dict(), patches)
    torch.testing.assert_close(both[f"{ATTENTION}.weight"] - before, whole, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("part_name", "module", "layer"),
    [
        (
            "clip_l",
            "lora_te1_text_model_encoder_layers_0_self_attn_q_proj",
            "encoder.layers.0.self_attn.q_proj",
        ),
        ("clip_g", "lora_te2_text_model_encoder_layers_1_mlp_fc1", "encoder.layers.1.mlp.fc1"),
        ("clip_g", "text_encoder_2.text_model.encoder.layers.1.mlp.fc1", "encoder.layers.1.mlp.fc1"),
        (
            "clip_l",
            "text_encoders.clip_l.transformer.text_model.encoder.layers.0.mlp.fc2",
            "encoder.layers.0.mlp.fc2",
        ),
    ],
)
def test_text_encoders_of_sdxl(
    tiny_models: TinyModels, tmp_path: Path, part_name: str, module: str, layer: str
) -> None:
    part = open_checkpoint(tiny_models.sdxl()).part(part_name)
    weights = sdxl_parts().texts[part_name].state_dict()
    name = next(name for name in weights if name.endswith(f"{layer}.weight"))
    up, down = noise(weights[name].shape[0], 2), noise(2, weights[name].shape[1], seed=4)
    save_file({f"{module}.lora_up.weight": up, f"{module}.lora_down.weight": down}, tmp_path / "a")
    changed = LoraPatcher(lambda file: tmp_path / "a")(part, weights, (LoraPatch(file=FILE, strength=1.0),))
    assert list(changed) == [name]
    torch.testing.assert_close(changed[name], weights[name] + up @ down)
