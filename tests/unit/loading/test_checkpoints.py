"""What a file says of itself is honoured: configurations, markers, averaged weights, dtypes, the memory map."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from graphcore.errors import ModelFileError
from nodes.diffusion.checkpoint import Checkpoint, open_checkpoint
from nodes.diffusion.parameterization import DiscreteDiffusion
from nodes.diffusion.weights import load
from tests import models
from tests.models import TinyModels


def written(folder: Path, state: models.State, metadata: Any = None) -> Checkpoint:
    return open_checkpoint(models.write(folder / "m.safetensors", state, metadata=metadata))


def diffusion(checkpoint: Checkpoint) -> DiscreteDiffusion:
    assert isinstance(checkpoint.parameterization, DiscreteDiffusion)
    return checkpoint.parameterization


def test_shapes_alone_give_the_configuration(tiny_models: TinyModels) -> None:
    unet = open_checkpoint(tiny_models.sdxl()).part("unet").config
    assert unet["block_out_channels"] == [64, 128]
    assert unet["down_block_types"] == ["DownBlock2D", "CrossAttnDownBlock2D"]
    assert unet["transformer_layers_per_block"][1] == 2
    assert unet["attention_head_dim"] == [1, 2]
    assert unet["cross_attention_dim"] == 192
    assert unet["projection_class_embeddings_input_dim"] == 6 * 256 + 64


def test_header_metadata_win_over_shapes_and_the_side_car_over_both(tmp_path: Path) -> None:
    metadata = {"graphcore.config": {"unet": {"attention_head_dim": 4}, "vae": {"scaling_factor": 0.25}}}
    checkpoint = written(tmp_path, models.sd1_state(), metadata)
    assert checkpoint.part("unet").config["attention_head_dim"] == 4
    assert checkpoint.latent_format is not None
    assert checkpoint.latent_format.scale_factor == 0.25
    side_car = tmp_path / "m.safetensors.json"
    side_car.write_text(json.dumps({"unet": {"attention_head_dim": 2}}))
    checkpoint = open_checkpoint(tmp_path / "m.safetensors")
    assert checkpoint.part("unet").config["attention_head_dim"] == 2
    assert load(checkpoint.part("unet")).down_blocks[0].attentions[0].transformer_blocks[0].attn1.heads == 2  # type: ignore[index,union-attr]


def test_the_scheduler_configuration_sets_prediction_and_betas(tmp_path: Path) -> None:
    scheduler = {
        "prediction_type": "v_prediction",
        "beta_schedule": "linear",
        "beta_start": 0.001,
        "beta_end": 0.02,
    }
    made = diffusion(written(tmp_path, models.sd1_state(), {"graphcore.config": {"scheduler": scheduler}}))
    assert made.prediction == "v_prediction"
    assert made.betas[0].item() == pytest.approx(0.001)
    assert made.betas[500].item() == pytest.approx(0.0105, rel=1e-3)


def test_markers_say_v_prediction_and_zero_terminal_snr(tmp_path: Path) -> None:
    state = {**models.sdxl_state(), "v_pred": torch.zeros(0), "ztsnr": torch.zeros(0)}
    made = diffusion(written(tmp_path, state))
    assert made.prediction == "v_prediction"
    assert made.zero_snr
    assert diffusion(written(tmp_path, models.sdxl_state())).prediction == "epsilon"


@pytest.mark.parametrize(("said", "prediction"), [("v", "v_prediction"), ("epsilon", "epsilon")])
def test_modelspec_names_the_prediction_type(said: str, prediction: str, tmp_path: Path) -> None:
    made = written(tmp_path, models.sd2_state(), {"modelspec.prediction_type": said})
    assert diffusion(made).prediction == prediction


@pytest.mark.parametrize(("spread", "prediction"), [(0.2, "v_prediction"), (0.01, "epsilon")])
def test_sd2_prediction_is_seen_in_the_spread_of_one_norm(
    spread: float, prediction: str, tmp_path: Path
) -> None:
    state = models.sd2_state()
    values = spread * torch.linspace(-1.7, 1.7, 64)
    state["model.diffusion_model.output_blocks.11.1.transformer_blocks.0.norm1.bias"] = values
    assert diffusion(written(tmp_path, state)).prediction == prediction


def test_averaged_weights_are_a_part_of_their_own(tmp_path: Path) -> None:
    plain = models.unet_state(models.sd1_parts().unet)
    checkpoint = written(tmp_path, {**models.sd1_state(), **models.ema_state(plain, 0.5)})
    assert set(checkpoint.parts) == {"unet", "unet_ema", "vae", "clip_l"}
    live, averaged = (load(checkpoint.part(name)).state_dict() for name in ("unet", "unet_ema"))
    assert all(torch.equal(averaged[name], live[name] * 0.5) for name in live)


def test_a_part_that_is_not_there_is_told_with_those_that_are(tmp_path: Path) -> None:
    checkpoint = written(tmp_path, models.vae_state(models.sd1_parts().vae))
    with pytest.raises(ModelFileError, match=r"holds no 'unet' \(it holds vae\)"):
        checkpoint.part("unet")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_weights_keep_the_dtype_of_the_file(dtype: torch.dtype, tiny_models: TinyModels) -> None:
    checkpoint = open_checkpoint(tiny_models.sd1(dtype=dtype))
    for name, module in {"unet": models.sd1_parts().unet, "vae": models.sd1_parts().vae}.items():
        state = load(checkpoint.part(name)).state_dict()
        assert {tensor.dtype for tensor in state.values()} == {dtype}
        assert all(torch.equal(state[key], tensor.to(dtype)) for key, tensor in module.state_dict().items())


def test_weights_are_views_of_the_mapped_file(tiny_models: TinyModels) -> None:
    maps = Path("/proc/self/maps")
    if not maps.exists():
        pytest.skip("memory maps are listed on Linux only")
    file = tiny_models.sd1()
    module = load(open_checkpoint(file).part("unet"))
    ranges = [
        [int(number, 16) for number in line.split()[0].split("-")]
        for line in maps.read_text().splitlines()
        if str(file) in line
    ]
    assert ranges
    for name, tensor in module.state_dict().items():
        assert any(start <= tensor.data_ptr() < end for start, end in ranges), name


def test_changing_a_mapped_weight_leaves_the_file_alone(tmp_path: Path) -> None:
    file = models.write(tmp_path / "m.safetensors", models.sd1_state())
    before = file.read_bytes()
    next(load(open_checkpoint(file).part("unet")).parameters()).fill_(7.0)
    assert file.read_bytes() == before


def test_inputs_that_name_a_family_are_believed(tmp_path: Path) -> None:
    checkpoint = written(tmp_path, models.sd1_state(), {"graphcore.config": {"family": "sd2"}})
    assert checkpoint.family is not None
    assert checkpoint.family.name == "sd2"
    with pytest.raises(ModelFileError, match="family 'sd9', which is not known"):
        written(tmp_path, models.sd1_state(), {"graphcore.config": {"family": "sd9"}})
