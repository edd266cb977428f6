"""Files with 8-bit weights load: plain fp8, and fp8 with scales; whole numbers are refused by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from graphcore import ModelFileError
from nodes.diffusion.checkpoint import open_checkpoint
from nodes.diffusion.weights import load
from tests import models

State = dict[str, Tensor]
STATES: dict[str, Callable[[], State]] = {
    "sd1": models.sd1_state,
    "sdxl": models.sdxl_state,
    "sd3": models.sd3_state,
}
FP8 = torch.float8_e4m3fn


def scaled(state: State, name: str = "scale_weight", *, rows: bool = False) -> State:
    """As tools write it: matrices in fp8, spread over its whole range by a scale; the rest as it was."""
    written: State = {"model.diffusion_model.scaled_fp8": torch.zeros(2, dtype=FP8)}
    for key, tensor in state.items():
        if tensor.ndim != 2 or "embed" in key or not key.endswith(".weight"):
            written[key] = tensor
            continue
        largest = tensor.abs().amax(dim=1, keepdim=True) if rows else tensor.abs().max()
        scale = largest / torch.finfo(FP8).max
        written[key] = (tensor / scale).to(FP8)
        written[key.removesuffix("weight") + name] = scale
        written[key.removesuffix("weight") + "scale_input"] = torch.ones(())
    return written


def loaded(state: State, path: Path, part: str, unpacked: torch.dtype = torch.float32) -> State:
    models.write(path, state)
    return load(open_checkpoint(path).part(part), unpacked).state_dict()


@pytest.mark.parametrize(
    ("family", "part"),
    [("sd1", "unet"), ("sd1", "clip_l"), ("sdxl", "unet"), ("sd3", "unet"), ("sd3", "clip_g"), ("sd3", "t5")],
)
@pytest.mark.parametrize(("name", "rows"), [("scale_weight", False), ("weight_scale", True)])
def test_scaled_weights_are_what_was_stored_times_the_scale(
    family: str, part: str, name: str, rows: bool, tmp_path: Path
) -> None:
    state = STATES[family]()
    plain = loaded(state, tmp_path / "plain.safetensors", part)
    found = loaded(scaled(state, name, rows=rows), tmp_path / "scaled.safetensors", part)
    assert found.keys() == plain.keys()
    changed = [key for key in plain if not torch.equal(found[key], plain[key])]
    assert changed
    for key in changed:
        assert float((found[key] - plain[key]).norm() / plain[key].norm()) < 0.04


def test_scaled_weights_are_unpacked_in_the_dtype_they_compute_in(tmp_path: Path) -> None:
    found = loaded(scaled(models.sd3_state()), tmp_path / "a.safetensors", "unet", torch.bfloat16)
    assert found["transformer_blocks.0.attn.to_q.weight"].dtype == torch.bfloat16
    assert found["transformer_blocks.0.attn.to_q.bias"].dtype == torch.float32


@pytest.mark.parametrize("dtype", [FP8, torch.float8_e5m2])
def test_plain_eight_bit_floats(dtype: torch.dtype, tmp_path: Path) -> None:
    path = models.write(tmp_path / "a.safetensors", models.sd1_state(), dtype=dtype)
    assert load(open_checkpoint(path).part("unet")).state_dict()["conv_in.weight"].dtype == dtype


def test_scales_that_fit_no_rows_are_told(tmp_path: Path) -> None:
    state = scaled(models.sd3_state())
    name = "model.diffusion_model.joint_blocks.0.x_block.attn.qkv.scale_weight"
    models.write(tmp_path / "a.safetensors", {**state, name: torch.ones(7)})
    with pytest.raises(
        ModelFileError, match=r"joint_blocks\.0\.x_block\.attn\.qkv\.weight has a scale of another"
    ):
        load(open_checkpoint(tmp_path / "a.safetensors").part("unet"))


@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8])
def test_whole_numbers_are_refused(dtype: torch.dtype, tmp_path: Path) -> None:
    state = {
        name: (tensor * 50).to(dtype)
        if tensor.ndim == 2 and tensor.is_floating_point()
        else tensor.contiguous()
        for name, tensor in models.sd1_state().items()
    }
    save_file(state, tmp_path / "a.safetensors")
    with pytest.raises(ModelFileError, match="is quantized") as raised:
        load(open_checkpoint(tmp_path / "a.safetensors").part("unet"))
    assert raised.value.code == "model-file-quantized"
