"""Every layout that is read gives the very tensors that were written, and the same as diffusers' own readers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from nodes.diffusion.checkpoint import open_checkpoint
from nodes.diffusion.weights import load
from tests import models
from tests.models import State, TinyModels, TinyParts

FAMILIES: dict[str, tuple[str, Callable[[], TinyParts], Callable[[], State]]] = {
    "sd1": ("sd1", models.sd1_parts, models.sd1_state),
    "sd2": ("sd2", models.sd2_parts, models.sd2_state),
    "sdxl": ("sdxl", models.sdxl_parts, models.sdxl_state),
    "refiner": ("sdxl-refiner", models.refiner_parts, models.refiner_state),
}


def equal(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_checkpoint_in_the_original_layout_gives_back_every_tensor(
    name: str, tiny_models: TinyModels
) -> None:
    family, parts, _ = FAMILIES[name]
    checkpoint = open_checkpoint(getattr(tiny_models, name)())
    assert checkpoint.family is not None
    assert checkpoint.family.name == family
    written = {"unet": parts().unet, "vae": parts().vae, **parts().texts}
    assert set(checkpoint.parts) == set(written)
    for part, module in written.items():
        assert equal(load(checkpoint.part(part)).state_dict(), module.state_dict()), part


def test_the_original_layout_has_the_names_of_stable_diffusion() -> None:
    names = set(models.sd1_state())
    assert {
        "model.diffusion_model.input_blocks.0.0.weight",
        "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight",
        "model.diffusion_model.middle_block.1.proj_in.weight",
        "model.diffusion_model.output_blocks.1.1.conv.weight",
        "model.diffusion_model.out.2.bias",
        "first_stage_model.decoder.up.3.block.0.conv1.weight",
        "first_stage_model.encoder.mid.attn_1.q.weight",
        "cond_stage_model.transformer.text_model.final_layer_norm.weight",
    } <= names
    assert models.sd1_state()["first_stage_model.encoder.mid.attn_1.q.weight"].ndim == 4
    openclip = models.openclip_state(models.sd2_parts().texts["clip_h"])
    assert openclip["transformer.resblocks.0.attn.in_proj_weight"].shape == (3 * 128, 128)


@pytest.mark.parametrize("name", ["sd1", "sd2", "sdxl"])
def test_unet_and_vae_equal_diffusers_single_file_reader(
    name: str, tiny_models: TinyModels, tmp_path: Path, no_network: None
) -> None:
    import diffusers

    _, parts, _ = FAMILIES[name]
    file = getattr(tiny_models, name)()
    checkpoint = open_checkpoint(file)
    for part, cls, module in (
        ("unet", diffusers.UNet2DConditionModel, parts().unet),
        ("vae", diffusers.AutoencoderKL, parts().vae),
    ):
        module.save_config(tmp_path / part)
        theirs = cls.from_single_file(str(file), config=str(tmp_path), subfolder=part, local_files_only=True)
        assert equal(load(checkpoint.part(part)).state_dict(), dict(theirs.state_dict())), part


def test_openclip_equals_diffusers_converter(tiny_models: TinyModels) -> None:
    from diffusers.loaders.single_file_utils import convert_open_clip_checkpoint
    from transformers import CLIPTextConfig, CLIPTextModelWithProjection

    config = CLIPTextConfig(**models.text_config(128, projection=64, activation="gelu"))
    converted = convert_open_clip_checkpoint(
        CLIPTextModelWithProjection(config),
        load_file(tiny_models.sdxl()),
        prefix="conditioner.embedders.1.model.",
    )
    ours = load(open_checkpoint(tiny_models.sdxl()).part("clip_g")).state_dict()
    for name, tensor in converted.items():
        if name in ours:
            assert torch.equal(ours[name], tensor), name
    assert len(set(converted) & set(ours)) == len(ours)


@pytest.mark.parametrize("name", ["unet", "vae"])
def test_parts_in_files_of_their_own_are_read_without_prefix(name: str, tmp_path: Path) -> None:
    parts = models.sd1_parts()
    state = models.unet_state(parts.unet) if name == "unet" else models.vae_state(parts.vae)
    checkpoint = open_checkpoint(models.write(tmp_path / "part.safetensors", state))
    assert set(checkpoint.parts) == {name}
    assert equal(load(checkpoint.part(name)).state_dict(), getattr(parts, name).state_dict())


@pytest.mark.parametrize("name", ["sd1", "sd2", "sdxl"])
def test_networks_and_vaes_in_diffusers_layout_are_read_without_configuration(
    name: str, tmp_path: Path
) -> None:
    family, parts, _ = FAMILIES[name]
    for part, module in (("unet", parts().unet), ("vae", parts().vae)):
        checkpoint = open_checkpoint(models.write(tmp_path / f"{part}.safetensors", module.state_dict()))
        if part == "unet":
            assert checkpoint.family is not None
            assert checkpoint.family.name == family
        assert equal(load(checkpoint.part(part)).state_dict(), module.state_dict())


def test_vaes_with_the_old_names_of_attention_are_read(tmp_path: Path) -> None:
    module = models.sd1_parts().vae
    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    state = dict(module.state_dict())
    for new, former in old.items():
        state = {
            name.replace(f"attentions.0.{new}.", f"attentions.0.{former}."): t for name, t in state.items()
        }
    checkpoint = open_checkpoint(models.write(tmp_path / "vae.safetensors", state))
    assert equal(load(checkpoint.part("vae")).state_dict(), module.state_dict())


@pytest.mark.parametrize("layout", ["transformers", "openclip", "flattened"])
def test_text_encoders_in_files_of_their_own(layout: str, tmp_path: Path) -> None:
    module = models.sd2_parts().texts["clip_h"]
    state = models.openclip_state(module) if layout == "openclip" else models.clip_state(module)
    if layout == "flattened":
        state = {name.removeprefix("text_model."): tensor for name, tensor in state.items()}
    checkpoint = open_checkpoint(models.write(tmp_path / "text.safetensors", state))
    assert set(checkpoint.parts) == {"text"}
    assert equal(load(checkpoint.part("text")).state_dict(), module.state_dict())


def test_old_files_without_text_model_in_the_names_are_read(tmp_path: Path) -> None:
    state = {name.replace(".text_model.", "."): tensor for name, tensor in models.sd1_state().items()}
    checkpoint = open_checkpoint(models.write(tmp_path / "old.safetensors", state))
    assert equal(
        load(checkpoint.part("clip_l")).state_dict(), models.sd1_parts().texts["clip_l"].state_dict()
    )


@pytest.mark.parametrize("channels", [8, 9])
def test_networks_with_extra_input_channels_are_the_same_family(channels: int, tmp_path: Path) -> None:
    checkpoint = open_checkpoint(
        models.write(tmp_path / "more.safetensors", models.sd1_state(in_channels=channels))
    )
    assert checkpoint.family is not None
    assert checkpoint.family.name == "sd1"
    assert checkpoint.part("unet").config["in_channels"] == channels
    assert equal(load(checkpoint.part("unet")).state_dict(), models.sd1_parts(channels).unet.state_dict())
