"""Model files convert without the loss of a bit, pickles without running what is in them."""

from __future__ import annotations

import os
import pickle
import sys
import types
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from graphcore import ModelFileError
from nodes.diffusion.checkpoint import open_checkpoint
from nodes.diffusion.conversion.convert import convert_checkpoint
from nodes.diffusion.conversion.single_file import Changes
from tests.models import TinyModels, ema_state, sd1_parts, sd1_state, sd3_parts, unet_state


def assert_equal(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> None:
    assert sorted(one) == sorted(other)
    for name, tensor in one.items():
        assert tensor.dtype == other[name].dtype, name
        assert torch.equal(tensor, other[name]), name


def without_positions(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in state.items() if not name.endswith("position_ids")}


@pytest.mark.parametrize("family", ["sd1", "sd2", "sdxl", "refiner", "sd3"])
def test_a_single_file_becomes_a_folder_and_the_same_file_again(
    tiny_models: TinyModels, tmp_path: Path, family: str
) -> None:
    source = getattr(tiny_models, family)()
    convert_checkpoint(source, tmp_path / "folder", Changes())
    convert_checkpoint(tmp_path / "folder", tmp_path / "again.safetensors", Changes())
    left_out = ("logit_scale", "embed_tokens.weight")
    kept = {name: tensor for name, tensor in load_file(source).items() if not name.endswith(left_out)}
    assert_equal(load_file(tmp_path / "again.safetensors"), without_positions(kept))
    assert open_checkpoint(tmp_path / "again.safetensors").family == open_checkpoint(source).family


def test_diffusers_loads_the_parts_of_sd3(tiny_models: TinyModels, tmp_path: Path) -> None:
    from diffusers import FlowMatchEulerDiscreteScheduler, SD3Transformer2DModel
    from transformers import T5EncoderModel

    folder = tmp_path / "folder"
    convert_checkpoint(tiny_models.sd3(), folder, Changes())
    transformer = SD3Transformer2DModel.from_pretrained(folder, subfolder="transformer")
    assert_equal(transformer.state_dict(), sd3_parts().unet.state_dict())
    text = T5EncoderModel.from_pretrained(folder, subfolder="text_encoder_3").state_dict()
    assert_equal(
        {name: text[name] for name in sd3_parts().texts["t5"].state_dict()},
        sd3_parts().texts["t5"].state_dict(),
    )
    assert FlowMatchEulerDiscreteScheduler.from_pretrained(folder, subfolder="scheduler").config.shift == 3.0


def test_diffusers_loads_the_folder(tiny_models: TinyModels, tmp_path: Path) -> None:
    from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel

    convert_checkpoint(tiny_models.sd1(), tmp_path / "folder", Changes())
    unet = UNet2DConditionModel.from_pretrained(tmp_path / "folder", subfolder="unet")
    vae = AutoencoderKL.from_pretrained(tmp_path / "folder", subfolder="vae")
    assert_equal(unet.state_dict(), sd1_parts().unet.state_dict())
    assert_equal(vae.state_dict(), sd1_parts().vae.state_dict())
    pipeline = StableDiffusionPipeline.from_pretrained(tmp_path / "folder", local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    picture = pipeline("a cat", num_inference_steps=1, height=64, width=64, output_type="np").images
    assert picture.shape == (1, 64, 64, 3)


def test_weights_are_cast_and_pruned_and_averages_taken(tiny_models: TinyModels, tmp_path: Path) -> None:
    network = unet_state(sd1_parts().unet)
    whole = {
        **sd1_state(),
        **ema_state(network),
        "optimizer.step": torch.ones(3),
        "betas": torch.ones(1000),
    }
    save_file(whole, tmp_path / "whole.safetensors")
    changes = Changes(dtype="fp16", prune=True, ema=True)
    convert_checkpoint(tmp_path / "whole.safetensors", tmp_path / "small.safetensors", changes)
    made = load_file(tmp_path / "small.safetensors")
    name = next(iter(network))
    assert torch.equal(made[f"model.diffusion_model.{name}"], (network[name] * 0.5).half())
    assert sorted(made) == sorted(sd1_state())
    assert {tensor.dtype for tensor in made.values() if tensor.is_floating_point()} == {torch.float16}


def test_averages_that_are_not_there_are_told(tiny_models: TinyModels, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="--ema"):
        convert_checkpoint(tiny_models.sd1(), tmp_path / "x.safetensors", Changes(ema=True))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".ckpt", ".pt", ".pth", ".bin"])
def test_a_pickle_of_weights_becomes_safetensors(tmp_path: Path, suffix: str) -> None:
    state = {
        "model.diffusion_model.a": torch.randn(3),
        "tied": (tied := torch.randn(4, 4)),
        "view": tied[1:3],
    }
    torch.save({"state_dict": state, "global_step": 7}, tmp_path / f"old{suffix}")
    convert_checkpoint(tmp_path / f"old{suffix}", tmp_path / "new.safetensors", Changes())
    assert_equal(load_file(tmp_path / "new.safetensors"), state)


def test_a_lightning_checkpoint_is_read_with_stand_ins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = types.ModuleType("pytorch_lightning.callbacks")

    class Callback:
        def __init__(self) -> None:
            self.best = 0.5

    Callback.__module__, Callback.__qualname__ = module.__name__, "Callback"
    module.Callback = Callback  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pytorch_lightning", types.ModuleType("pytorch_lightning"))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    torch.save({"state_dict": {"w": torch.ones(2)}, "callbacks": [Callback()]}, tmp_path / "old.ckpt")
    monkeypatch.undo()
    convert_checkpoint(tmp_path / "old.ckpt", tmp_path / "new.safetensors", Changes())
    assert_equal(load_file(tmp_path / "new.safetensors"), {"w": torch.ones(2)})


class Attack:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch pwned",)


def test_a_pickle_that_runs_code_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": {"w": torch.ones(2)}, "evil": Attack()}, tmp_path / "bad.ckpt")
    with pytest.raises(ModelFileError, match="system") as caught:
        convert_checkpoint(tmp_path / "bad.ckpt", tmp_path / "new.safetensors", Changes())
    assert caught.value.code == "pickle-unsafe"
    assert not (tmp_path / "pwned").exists()
    assert not (tmp_path / "new.safetensors").exists()


@pytest.mark.parametrize("data", [b"", b"junk" * 50, pickle.dumps({"a": 1}), pickle.dumps(Attack)])
def test_damaged_pickles_are_told(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "bad.pt").write_bytes(data)
    with pytest.raises(ModelFileError):
        convert_checkpoint(tmp_path / "bad.pt", tmp_path / "new.safetensors", Changes())


def test_an_embedding_of_the_first_web_ui_becomes_one_that_is_read(tmp_path: Path) -> None:
    vectors = torch.randn(2, 64)
    torch.save(
        {"string_to_param": {"*": torch.nn.Parameter(vectors)}, "name": "x", "step": 1}, tmp_path / "x.pt"
    )
    convert_checkpoint(tmp_path / "x.pt", tmp_path / "x.safetensors", Changes())
    assert_equal(load_file(tmp_path / "x.safetensors"), {"emb_params": vectors})
