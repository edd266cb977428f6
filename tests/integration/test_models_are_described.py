"""`graphcore models --details` tells what a file is from its header, and what is wrong with a bad one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from graphcore.cli.app import run_app
from tests.models import TinyModels


def described(folder: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, str]]:
    assert run_app(["models", "--details", "--json", "--models-dir", str(folder)]) == 0
    return {model["name"]: model["details"] for model in json.loads(capsys.readouterr().out)}


def test_checkpoints_and_adapters(
    tiny_models: TinyModels, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in ("checkpoints", "loras"):
        (tmp_path / folder).mkdir()
    shutil.copy(tiny_models.sd1(dtype=torch.float16), tmp_path / "checkpoints" / "one.safetensors")
    shutil.copy(tiny_models.sdxl(), tmp_path / "checkpoints" / "xl.safetensors")
    adapter = {
        "lora_unet_x.lora_up.weight": torch.zeros(4, 2),
        "lora_unet_x.lora_down.weight": torch.zeros(2, 4),
    }
    save_file(adapter, tmp_path / "loras" / "style.safetensors", metadata={"ss_output_name": "my style"})
    found = described(tmp_path, capsys)
    assert found["one.safetensors"]["family"] == "Stable Diffusion 1.x"
    assert found["one.safetensors"]["precision"].startswith("F16")
    assert found["xl.safetensors"]["parts"] == "clip_g, clip_l, unet, vae"
    assert found["style.safetensors"]["adapters"] == "1 lora"
    assert found["style.safetensors"]["ss_output_name"] == "my style"


def test_a_file_that_is_no_checkpoint_says_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "checkpoints").mkdir()
    save_file({"x": torch.zeros(2)}, tmp_path / "checkpoints" / "odd.safetensors")
    (tmp_path / "checkpoints" / "cut.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{")
    found = described(tmp_path, capsys)
    assert "no known model family" in found["odd.safetensors"]["problem"]
    assert "cut.safetensors" in found["cut.safetensors"]["problem"]
