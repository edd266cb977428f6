"""A ControlNet that cannot work is told in one sentence, before sampling and before weights are loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from graphcore.errors import ExecutionError, GraphcoreError
from nodes.diffusion.store import ModelStore
from tests.integration.steering.steered import model_folder, ours, picture, saved
from tests.models import TinyModels, sd1_state
from tests.steering_models import (
    adapter,
    adapter_state,
    control_lora_state,
    control_net,
    control_state,
    put,
    sd3_control_net,
    union_net,
)

STATES: dict[str, Any] = {
    "sd1": lambda: control_state(control_net("sd1")),
    "sd2": lambda: control_state(control_net("sd2")),
    "sdxl": lambda: control_state(control_net("sdxl")),
    "sd3": lambda: sd3_control_net().state_dict(),
    "sd3-inpaint": lambda: sd3_control_net(extra=1).state_dict(),
    "union": lambda: union_net(6).state_dict(),
    "adapter": lambda: adapter_state(adapter()),
    "adapter-xl": lambda: adapter_state(adapter("full_adapter_xl")),
    "difference": lambda: {**control_state(control_net("sd1")), "difference": torch.ones(1)},
    "checkpoint": sd1_state,
    "control-lora": lambda: control_lora_state(control_net("sdxl"), "sdxl"),
    "damaged control-lora": lambda: {"lora_controlnet": torch.ones(1)},
    "lllite": lambda: {"lllite_unet_input_blocks_4.down.0.weight": torch.ones(1)},
    "half": lambda: {
        name: tensor for name, tensor in STATES["sd1"]().items() if "middle_block.0" not in name
    },
}


def attempt(
    tmp_path: Path, tiny_models: TinyModels, *, model: str, control: str, **changes: Any
) -> ExecutionError:
    """The error of a run of a model with a ControlNet."""
    models, checkpoint = model_folder(tmp_path, tiny_models, model)
    name = put(models, f"{control}.safetensors", STATES[control]())
    file = saved(tmp_path, picture()[0])
    kind = changes.pop("kind", None)

    def steer(graph: Any, parts: Any) -> tuple[Any, Any]:
        loaded = graph.ControlNetLoader(control_net_name=name)
        if kind is not None:
            loaded = graph.SetUnionControlNetType(control_net=loaded, type=kind)
        inputs: dict[str, Any] = {"strength": 1.0, "start_percent": 0.0, "end_percent": 1.0, **changes}
        if inputs.pop("with_vae", False):
            inputs["vae"] = parts.checkpoint.vae
        both = graph.ControlNetApplyAdvanced(
            positive=parts.positive,
            negative=parts.negative,
            control_net=loaded,
            image=graph.LoadImage(image=file).image,
            **inputs,
        )
        return both.positive, both.negative

    with pytest.raises(ExecutionError) as caught:
        ours(tmp_path, models, checkpoint, steer)
    return caught.value


@pytest.mark.parametrize(
    ("model", "control", "words"),
    [
        ("sd1", "sd2", "the model is Stable Diffusion 1.x; choose one for Stable Diffusion 1.x"),
        ("sd1", "sdxl", "the model is Stable Diffusion 1.x"),
        ("sdxl", "sd1", "the model is SDXL"),
        ("sd2", "sd1", "the model is Stable Diffusion 2.x"),
        ("sd1", "sd3", "made for SD 3, but the model is Stable Diffusion 1.x"),
        ("sd3", "sd1", "the model is Stable Diffusion 3"),
        ("sd1", "adapter-xl", "made for SDXL"),
        ("sdxl", "adapter", "made for Stable Diffusion 1.x"),
        ("sd3", "adapter", "made for Stable Diffusion 1.x"),
        ("sd1", "union", "the model is Stable Diffusion 1.x"),
    ],
)
def test_another_family(
    model: str,
    control: str,
    words: str,
    tmp_path: Path,
    tiny_models: TinyModels,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def no_network(self: ModelStore, model: Any) -> Any:
        raise AssertionError("the diffusion network was loaded")

    monkeypatch.setattr(ModelStore, "network", no_network)
    error = attempt(tmp_path, tiny_models, model=model, control=control, with_vae=True)
    assert error.code == "wrong-family"
    assert words in error.message


@pytest.mark.parametrize(
    ("model", "control", "changes", "code"),
    [
        ("sd3", "sd3", {}, "missing-vae"),
        ("sd3", "sd3-inpaint", {"with_vae": True}, "missing-mask"),
        ("sd1", "difference", {}, "control-difference"),
        ("sd1", "sd1", {"kind": "depth"}, "union-type"),
        ("sdxl", "union", {"kind": "repaint"}, "union-type"),
        ("sd1", "checkpoint", {}, "model-file-family"),
        ("sd1", "control-lora", {}, "wrong-family"),
        ("sd1", "damaged control-lora", {}, "model-file-family"),
        ("sd1", "lllite", {}, "model-file-family"),
        ("sd1", "half", {}, "model-file-mismatch"),
    ],
)
def test_other_mistakes(
    model: str, control: str, changes: dict[str, Any], code: str, tmp_path: Path, tiny_models: TinyModels
) -> None:
    error = attempt(tmp_path, tiny_models, model=model, control=control, **changes)
    assert error.code == code
    assert len(error.message) < 400


def test_a_pickle_is_refused_with_the_way_to_convert_it(tmp_path: Path, tiny_models: TinyModels) -> None:
    models, checkpoint = model_folder(tmp_path, tiny_models, "sd1")
    place = models / "controlnet" / "control_sd15_canny.pth"
    place.parent.mkdir(parents=True)
    torch.save(control_state(control_net()), place)
    file = saved(tmp_path, picture()[0])

    def steer(graph: Any, parts: Any) -> tuple[Any, Any]:
        loaded = graph.ControlNetLoader(control_net_name=place.name)
        image = graph.LoadImage(image=file).image
        steered = graph.ControlNetApply(
            conditioning=parts.positive, control_net=loaded, image=image, strength=1.0
        )
        return steered, parts.negative

    with pytest.raises(GraphcoreError, match="convert-checkpoint"):
        ours(tmp_path, models, checkpoint, steer)
