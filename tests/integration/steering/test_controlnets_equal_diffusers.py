"""A ControlNet in a workflow leads to the latents of diffusers' ControlNet pipelines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

from tests.integration.steering.steered import (
    assert_alike,
    model_folder,
    ours,
    picture,
    saved,
    theirs,
)
from tests.models import TinyModels
from tests.steering_models import control_net, control_state, put

PIPELINES = {
    "sd1": "StableDiffusionControlNetPipeline",
    "sd2": "StableDiffusionControlNetPipeline",
    "sdxl": "StableDiffusionXLControlNetPipeline",
}


def pixels(image: Tensor) -> Tensor:
    """A picture as diffusers takes it: channels first."""
    return image.movedim(-1, 1)


@pytest.mark.parametrize("layout", ["ldm", "diffusers", "folder"])
@pytest.mark.parametrize("family", ["sd1", "sd2", "sdxl"])
def test_each_family_and_layout(family: str, layout: str, tmp_path: Path, tiny_models: TinyModels) -> None:
    module, image = control_net(family), picture()
    models, checkpoint = model_folder(tmp_path, tiny_models, family)
    name = "control.safetensors"
    if layout == "folder":
        name = "control"
        module.save_pretrained(models / "controlnet" / name)
    else:
        put(models, name, control_state(module) if layout == "ldm" else module.state_dict())
    file = saved(tmp_path, image[0])

    def steer(graph: Any, parts: Any) -> tuple[Any, Any]:
        both = graph.ControlNetApplyAdvanced(
            positive=parts.positive,
            negative=parts.negative,
            control_net=graph.ControlNetLoader(control_net_name=name),
            image=graph.LoadImage(image=file).image,
            strength=0.8,
            start_percent=0.0,
            end_percent=0.5,
        )
        return both.positive, both.negative

    found = ours(tmp_path, models, checkpoint, steer)
    expected = theirs(
        tmp_path,
        tiny_models,
        family,
        PIPELINES[family],
        extra={"controlnet": module},
        image=pixels(image),
        controlnet_conditioning_scale=0.8,
        control_guidance_end=0.5,
    )
    assert_alike(found, expected)
    plain = ours(tmp_path, models, checkpoint, lambda graph, parts: (parts.positive, parts.negative))
    assert (found - plain).abs().max() > 0.01
