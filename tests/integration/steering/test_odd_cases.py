"""What people also do with pictures to follow: odd sizes, inpainting models, cut schedules, other shapes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from graphcore.errors import InputError
from nodes.diffusion.hints import _planes
from tests.integration.steering.steered import model_folder, ours, picture, saved
from tests.models import TinyModels
from tests.steering_models import adapter, adapter_state, control_net, control_state, put


def follow(graph: Any, parts: Any, name: str, **changes: Any) -> tuple[Any, Any]:
    inputs: dict[str, Any] = {"strength": 1.0, "start_percent": 0.0, "end_percent": 1.0, **changes}
    both = graph.ControlNetApplyAdvanced(
        positive=parts.positive,
        negative=parts.negative,
        control_net=graph.ControlNetLoader(control_net_name=f"{name}.safetensors"),
        image=graph.LoadImage(image="0.png").image,
        **inputs,
    )
    return both.positive, both.negative


@pytest.mark.parametrize("family", ["sd1", "sdxl"])
def test_sides_that_no_network_divides(family: str, tmp_path: Path, tiny_models: TinyModels) -> None:
    models, checkpoint = model_folder(tmp_path, tiny_models, family)
    put(models, "control.safetensors", control_state(control_net(family)))
    kind = "full_adapter" if family == "sd1" else "full_adapter_xl"
    put(models, "adapter.safetensors", adapter_state(adapter(kind)))
    saved(tmp_path, picture()[0], "0.png")

    def steer(graph: Any, parts: Any) -> tuple[Any, Any]:
        parts.latent = graph.EmptyLatentImage(width=72, height=56, batch_size=1)
        parts.positive, parts.negative = follow(graph, parts, "control")
        return follow(graph, parts, "adapter")

    found = ours(tmp_path, models, checkpoint, steer)
    assert found.shape == (1, 4, 7, 9)
    assert torch.isfinite(found).all()


def test_an_inpainting_model_follows_too(tmp_path: Path, tiny_models: TinyModels) -> None:
    """Its network has nine input channels; the ControlNet sees the latent's four."""
    models, checkpoint = model_folder(tmp_path, tiny_models, "sd1_inpaint")
    put(models, "control.safetensors", control_state(control_net()))
    saved(tmp_path, picture()[0], "0.png")

    def steer(strength: float) -> Any:
        def graph_of(graph: Any, parts: Any) -> tuple[Any, Any]:
            prepared = graph.InpaintModelConditioning(
                positive=parts.positive,
                negative=parts.negative,
                vae=parts.checkpoint.vae,
                pixels=graph.LoadImage(image="0.png").image,
                mask=graph.SolidMask(value=1.0, width=64, height=64),
                noise_mask=True,
            )
            parts.positive, parts.negative = prepared.positive, prepared.negative
            parts.latent = prepared.latent
            return follow(graph, parts, "control", strength=strength)

        return ours(tmp_path, models, checkpoint, graph_of)

    assert (steer(1.0) - steer(0.0)).abs().max() > 0.01


def test_a_part_of_the_schedule_in_two_samplers(tmp_path: Path, tiny_models: TinyModels) -> None:
    """Shares are of the whole schedule, so that a run in two parts follows as one run does."""
    models, checkpoint = model_folder(tmp_path, tiny_models, "sd1")
    put(models, "control.safetensors", control_state(control_net()))
    saved(tmp_path, picture()[0], "0.png")

    def steer(graph: Any, parts: Any) -> tuple[Any, Any]:
        return follow(graph, parts, "control", end_percent=0.5)

    def second_half(graph: Any, parts: Any) -> tuple[Any, Any]:
        positive, negative = steer(graph, parts)
        parts.latent = graph.KSamplerAdvanced(
            model=parts.model,
            add_noise="enable",
            noise_seed=3,
            steps=4,
            cfg=5.0,
            sampler_name="euler",
            scheduler="normal",
            positive=positive,
            negative=negative,
            latent_image=parts.latent,
            start_at_step=0,
            end_at_step=2,
            return_with_leftover_noise="enable",
        )
        return positive, negative

    whole = ours(tmp_path, models, checkpoint, steer)
    halves = ours(tmp_path, models, checkpoint, second_half, rest_from=2)
    assert float((whole - halves).norm() / whole.norm()) < 1e-4


@pytest.mark.parametrize("shape", [(0, 8, 8, 3), (1, 8, 8, 1), (8, 8, 3), (1, 0, 8, 3)])
def test_what_is_no_picture_is_told(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="A picture to follow"):
        _planes(torch.zeros(shape))


def test_transparency_is_left_out() -> None:
    assert _planes(torch.zeros(1, 8, 8, 4)).shape == (1, 3, 8, 8)
