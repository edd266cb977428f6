"""What steers a network computes in the network's dtype: in bfloat16 the result is about that of float32."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.integration.steering import test_gligen_equals_diffusers as gligen
from tests.integration.steering import test_ip_adapters_equal_diffusers as ip_adapters
from tests.integration.steering import test_unclip_equals_diffusers as unclip
from tests.integration.steering.steered import model_folder, ours, picture, saved
from tests.models import TinyModels
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
    unclip_state,
    union_net,
    vision_tower,
)

CONTROLS: dict[str, tuple[str, Any]] = {
    "controlnet": ("sdxl", lambda: control_state(control_net("sdxl"))),
    "control-lora": ("sd1", lambda: control_lora_state(control_net("sd1"), "sd1")),
    "union": ("sdxl", lambda: union_net().state_dict()),
    "sd3": ("sd3", lambda: sd3_control_net().state_dict()),
    "t2i": ("sd1", lambda: adapter_state(adapter())),
}


def follow(graph: Any, parts: Any) -> tuple[Any, Any]:
    both = graph.ControlNetApplyAdvanced(
        positive=parts.positive,
        negative=parts.negative,
        control_net=graph.ControlNetLoader(control_net_name="control.safetensors"),
        image=graph.LoadImage(image="0.png").image,
        strength=0.8,
        start_percent=0.0,
        end_percent=1.0,
        vae=parts.checkpoint.vae,
    )
    return both.positive, both.negative


def assert_near(folder: Path, models: Path, checkpoint: str, steer: Any, **changes: Any) -> None:
    whole, short = (
        ours(folder, models, checkpoint, steer, dtype=dtype, **changes) for dtype in ("fp32", "bf16")
    )
    assert float((whole - short).norm() / whole.norm()) < 0.2


@pytest.mark.parametrize("case", CONTROLS)
def test_controlnets(case: str, tmp_path: Path, tiny_models: TinyModels) -> None:
    family, state = CONTROLS[case]
    models, checkpoint = model_folder(tmp_path, tiny_models, family)
    put(models, "control.safetensors", state())
    saved(tmp_path, picture()[0], "0.png")
    assert_near(tmp_path, models, checkpoint, follow)


def test_the_others(tmp_path: Path, tiny_models: TinyModels) -> None:
    models, checkpoint = model_folder(tmp_path, tiny_models, "sd1")
    put(models, "vision.safetensors", vision_tower().state_dict(), kind="clip_vision")
    put(models, "adapter.safetensors", image_adapter("sd1", "plus"), kind="ipadapter")
    put(models, "gligen.safetensors", gligen_state(), kind="gligen")
    put(models, "unclip.safetensors", unclip_state(), kind="checkpoints")
    saved(tmp_path, picture()[0], "0.png")
    assert_near(tmp_path, models, checkpoint, ip_adapters.steering("adapter.safetensors", ["0.png"]))
    assert_near(tmp_path, models, checkpoint, gligen.steering(gligen.BOXES))
    assert_near(
        tmp_path, models, "unclip.safetensors", unclip.steering("0.png"), loader="unCLIPCheckpointLoader"
    )
