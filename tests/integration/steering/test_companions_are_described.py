"""`graphcore models --details` tells what ControlNets, image encoders and the like are, and for which family."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.integration.test_models_are_described import described
from tests.steering_models import (
    adapter,
    adapter_state,
    control_lora_state,
    control_net,
    control_state,
    gligen_state,
    image_adapter,
    put,
    sd3_control_net,
    union_net,
    vision_tower,
)


def test_each_kind(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(tmp_path, "outlines.safetensors", control_state(control_net()))
    put(tmp_path, "low-rank.safetensors", control_lora_state(control_net(), "sd1"))
    put(tmp_path, "union.safetensors", union_net().state_dict())
    put(tmp_path, "sd3.safetensors", sd3_control_net().state_dict())
    put(tmp_path, "sketch.safetensors", adapter_state(adapter("full_adapter_xl")))
    put(tmp_path, "odd.safetensors", {"x": torch.zeros(2)})
    put(tmp_path, "eye.safetensors", vision_tower().state_dict(), kind="clip_vision")
    put(tmp_path, "plus.safetensors", image_adapter("sd1", "plus"), kind="ipadapter")
    put(tmp_path, "boxes.safetensors", gligen_state(), kind="gligen")
    found = described(tmp_path, capsys)
    assert found["outlines.safetensors"]["kind"] == "ControlNet"
    assert found["low-rank.safetensors"]["kind"] == "Control-LoRA"
    assert found["union.safetensors"]["kinds of maps"] == "8"
    assert found["sd3.safetensors"]["made for"] == "SD 3"
    assert found["sketch.safetensors"]["made for"] == "SDXL"
    assert "neither a ControlNet nor a T2I-Adapter" in found["odd.safetensors"]["problem"]
    assert found["eye.safetensors"]["sees"] == "28 pixels a side"
    assert found["plus.safetensors"]["kind"] == "IP-Adapter (plus)"
    assert found["boxes.safetensors"]["kind"] == "GLIGEN text boxes"
