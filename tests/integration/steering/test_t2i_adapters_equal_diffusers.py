"""A T2I-Adapter in a workflow leads to the latents of diffusers' adapter pipelines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.integration.steering.steered import assert_alike, model_folder, ours, picture, saved, theirs
from tests.models import TinyModels
from tests.steering_models import adapter, adapter_state, control_net, control_state, put

CASES = {
    "full": ("sd1", "full_adapter", 3),
    "light": ("sd1", "light_adapter", 3),
    "of grey pictures": ("sd1", "full_adapter", 1),
    "sdxl": ("sdxl", "full_adapter_xl", 3),
}
PIPELINES = {"sd1": "StableDiffusionAdapterPipeline", "sdxl": "StableDiffusionXLAdapterPipeline"}


@pytest.mark.parametrize("layout", ["tencent", "diffusers", "folder"])
@pytest.mark.parametrize("case", CASES)
def test_each_kind_and_layout(case: str, layout: str, tmp_path: Path, tiny_models: TinyModels) -> None:
    family, kind, channels = CASES[case]
    module, image = adapter(kind, channels=channels), picture()
    models, checkpoint = model_folder(tmp_path, tiny_models, family)
    name = "adapter.safetensors"
    if layout == "folder":
        name = "adapter"
        module.save_pretrained(models / "controlnet" / name)
    else:
        put(models, name, adapter_state(module) if layout == "tencent" else module.state_dict())
    file = saved(tmp_path, image[0])

    def steer(graph: Any, parts: Any) -> tuple[Any, Any]:
        both = graph.ControlNetApplyAdvanced(
            positive=parts.positive,
            negative=parts.negative,
            control_net=graph.ControlNetLoader(control_net_name=name),
            image=graph.LoadImage(image=file).image,
            strength=0.7,
            start_percent=0.0,
            end_percent=1.0,
        )
        return both.positive, both.negative

    shown = image.movedim(-1, 1)
    expected = theirs(
        tmp_path,
        tiny_models,
        family,
        PIPELINES[family],
        extra={"adapter": module},
        image=shown if channels == 3 else shown.mean(dim=1, keepdim=True),
        adapter_conditioning_scale=0.7,
    )
    found = ours(tmp_path, models, checkpoint, steer)
    assert_alike(found, expected)
    plain = ours(tmp_path, models, checkpoint, lambda graph, parts: (parts.positive, parts.negative))
    assert (found - plain).abs().max() > 0.01


def test_beside_a_controlnet(tmp_path: Path, tiny_models: TinyModels) -> None:
    """Each changes what the other does; without either the result is another."""
    models, checkpoint = model_folder(tmp_path, tiny_models, "sd1")
    put(models, "adapter.safetensors", adapter_state(adapter()))
    put(models, "control.safetensors", control_state(control_net()))
    file = saved(tmp_path, picture()[0])

    def steered_by(*names: str) -> Any:
        def steer(graph: Any, parts: Any) -> tuple[Any, Any]:
            positive, negative = parts.positive, parts.negative
            for name in names:
                both = graph.ControlNetApplyAdvanced(
                    positive=positive,
                    negative=negative,
                    control_net=graph.ControlNetLoader(control_net_name=f"{name}.safetensors"),
                    image=graph.LoadImage(image=file).image,
                    strength=1.0,
                    start_percent=0.0,
                    end_percent=1.0,
                )
                positive, negative = both.positive, both.negative
            return positive, negative

        return ours(tmp_path, models, checkpoint, steer)

    both, turned = steered_by("adapter", "control"), steered_by("control", "adapter")
    assert_alike(both, turned)
    assert all((both - steered_by(name)).abs().max() > 0.01 for name in ("adapter", "control"))
