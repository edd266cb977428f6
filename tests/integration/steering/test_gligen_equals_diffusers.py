"""Texts in boxes lead to the latents of diffusers' GLIGEN pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from graphcore.errors import ExecutionError
from tests.integration.steering.steered import (
    assert_alike,
    loaded_pipeline,
    model_folder,
    ours,
    picture,
    saved,
    settings_for,
)
from tests.models import TinyModels
from tests.steering_models import control_net, control_state, gligen_state, grounded_unet, put

BOXES = {"a cat": (0, 8, 32, 40), "dog": (16, 0, 64, 24)}


def steering(boxes: dict[str, tuple[int, int, int, int]], *, controlled: bool = False) -> Any:
    def steer(graph: Any, parts: Any) -> tuple[Any, Any]:
        positive, negative = parts.positive, parts.negative
        gligen = graph.GLIGENLoader(gligen_name="gligen.safetensors")
        for text, (left, top, right, bottom) in boxes.items():
            positive = graph.GLIGENTextBoxApply(
                conditioning_to=positive,
                clip=parts.checkpoint.clip,
                gligen_textbox_model=gligen,
                text=text,
                width=right - left,
                height=bottom - top,
                x=left,
                y=top,
            )
        if controlled:
            positive = graph.ControlNetApply(
                conditioning=positive,
                control_net=graph.ControlNetLoader(control_net_name="control.safetensors"),
                image=graph.LoadImage(image="0.png").image,
                strength=1.0,
            )
        return positive, negative

    return steer


@pytest.fixture
def place(tmp_path: Path, tiny_models: TinyModels) -> tuple[Path, Path, str]:
    models, checkpoint = model_folder(tmp_path, tiny_models, "sd1")
    put(models, "gligen.safetensors", gligen_state(), kind="gligen")
    return tmp_path, models, checkpoint


def test_two_boxes(place: tuple[Path, Path, str], tiny_models: TinyModels) -> None:
    made = loaded_pipeline(place[0], "sd1", "StableDiffusionGLIGENPipeline", extra={"unet": grounded_unet()})
    latent = made(
        **settings_for(tiny_models, "sd1"),
        gligen_phrases=list(BOXES),
        gligen_boxes=[[side / 64 for side in box] for box in BOXES.values()],
        gligen_scheduled_sampling_beta=1.0,
    ).images
    found = ours(*place, steering(BOXES))
    assert_alike(found, latent / made.vae.config.scaling_factor)
    assert (found - ours(*place, steering({}))).abs().max() > 0.001


def test_a_run_without_boxes_is_as_before(place: tuple[Path, Path, str]) -> None:
    """What is prepared in the network for boxes does nothing without them."""
    before = ours(*place, steering({}))
    ours(*place, steering(BOXES))
    assert torch.equal(ours(*place, steering({})), before)


def test_beside_a_controlnet(place: tuple[Path, Path, str]) -> None:
    put(place[1], "control.safetensors", control_state(control_net()))
    saved(place[0], picture()[0], "0.png")
    both = ours(*place, steering(BOXES, controlled=True))
    assert (both - ours(*place, steering(BOXES))).abs().max() > 0.01
    assert (both - ours(*place, steering({}, controlled=True))).abs().max() > 0.001


def test_too_many_boxes_are_told(place: tuple[Path, Path, str]) -> None:
    boxes = {f"cat {number}": (0, 0, 8, 8) for number in range(31)}
    with pytest.raises(ExecutionError, match="knows 30 at most") as caught:
        ours(*place, steering(boxes))
    assert caught.value.code == "too-many-boxes"


def test_another_family_is_told(tmp_path: Path, tiny_models: TinyModels) -> None:
    models, checkpoint = model_folder(tmp_path, tiny_models, "sdxl")
    put(models, "gligen.safetensors", gligen_state(), kind="gligen")
    with pytest.raises(ExecutionError, match="the model is SDXL") as caught:
        ours(tmp_path, models, checkpoint, steering(BOXES))
    assert caught.value.code == "wrong-family"


def test_other_files_are_told(place: tuple[Path, Path, str]) -> None:
    put(place[1], "gligen.safetensors", control_state(control_net()), kind="gligen")
    with pytest.raises(ExecutionError, match="is no GLIGEN text-box model"):
        ours(*place, steering(BOXES))
