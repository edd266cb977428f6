"""A ControlNet in a workflow leads to the latents of diffusers' ControlNet pipelines."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from torch import Tensor

from nodes.control.controlnets import UNION_NUMBERS
from nodes.diffusion.control_networks import UnionControl
from nodes.diffusion.network import ForwardPass
from nodes.diffusion.noise import starting_noise
from nodes.diffusion.parameterization import RectifiedFlow
from nodes.diffusion.schedules import scheduled_sigmas
from tests.integration.steering.steered import (
    SCALE,
    SEED,
    SIDE,
    STEPS,
    assert_alike,
    model_folder,
    ours,
    picture,
    saved,
    texts,
    theirs,
)
from tests.models import TinyModels, sd3_parts
from tests.steering_models import (
    control_lora_state,
    control_net,
    control_state,
    put,
    sd3_control_net,
    stability_state,
    union_net,
)

PIPELINES = {
    "sd1": "StableDiffusionControlNetPipeline",
    "sd2": "StableDiffusionControlNetPipeline",
    "sdxl": "StableDiffusionXLControlNetPipeline",
}


def pixels(image: Tensor) -> Tensor:
    """A picture as diffusers takes it: channels first."""
    return image.movedim(-1, 1)


@pytest.mark.parametrize("layout", ["ldm", "diffusers", "folder", "lora"])
@pytest.mark.parametrize("family", ["sd1", "sd2", "sdxl"])
def test_each_family_and_layout(family: str, layout: str, tmp_path: Path, tiny_models: TinyModels) -> None:
    module, image = control_net(family), picture()
    models, checkpoint = model_folder(tmp_path, tiny_models, family)
    name = "control.safetensors"
    if layout == "folder":
        name = "control"
        module.save_pretrained(models / "controlnet" / name)
    else:
        states = {
            "ldm": control_state,
            "diffusers": lambda module: module.state_dict(),
            "lora": lambda module: control_lora_state(module, family),
        }
        put(models, name, states[layout](module))
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


def test_several_add_up_from_and_to_their_own_moments(tmp_path: Path, tiny_models: TinyModels) -> None:
    modules = [control_net("sd1"), control_net("sd1", 1)]
    images = [picture(0), picture(1)]
    models, checkpoint = model_folder(tmp_path, tiny_models, "sd1")
    names = [
        put(models, f"control-{place}.safetensors", control_state(module))
        for place, module in enumerate(modules)
    ]
    files = [saved(tmp_path, image[0], f"{place}.png") for place, image in enumerate(images)]
    moments = ((0.7, 0.0, 0.5), (1.3, 0.5, 1.0))

    def steer(graph: Any, parts: Any) -> tuple[Any, Any]:
        positive, negative = parts.positive, parts.negative
        for name, file, (strength, start, end) in zip(names, files, moments, strict=True):
            both = graph.ControlNetApplyAdvanced(
                positive=positive,
                negative=negative,
                control_net=graph.ControlNetLoader(control_net_name=name),
                image=graph.LoadImage(image=file).image,
                strength=strength,
                start_percent=start,
                end_percent=end,
            )
            positive, negative = both.positive, both.negative
        return positive, negative

    expected = theirs(
        tmp_path,
        tiny_models,
        "sd1",
        PIPELINES["sd1"],
        extra={"controlnet": modules},
        image=[pixels(image) for image in images],
        controlnet_conditioning_scale=[moment[0] for moment in moments],
        control_guidance_start=[moment[1] for moment in moments],
        control_guidance_end=[moment[2] for moment in moments],
    )
    assert_alike(ours(tmp_path, models, checkpoint, steer), expected)


@pytest.mark.parametrize("kind", ["depth", "repaint"])
def test_union(kind: str, tmp_path: Path, tiny_models: TinyModels) -> None:
    module, image = union_net(), picture()
    models, checkpoint = model_folder(tmp_path, tiny_models, "sdxl")
    name = put(models, "union.safetensors", module.state_dict())
    file = saved(tmp_path, image[0])

    def steer(graph: Any, parts: Any) -> tuple[Any, Any]:
        union = graph.ControlNetLoader(control_net_name=name)
        both = graph.ControlNetApplyAdvanced(
            positive=parts.positive,
            negative=parts.negative,
            control_net=graph.SetUnionControlNetType(control_net=union, type=kind),
            image=graph.LoadImage(image=file).image,
            strength=0.6,
            start_percent=0.0,
            end_percent=1.0,
        )
        return both.positive, both.negative

    expected = theirs(
        tmp_path,
        tiny_models,
        "sdxl",
        "StableDiffusionXLControlNetUnionPipeline",
        extra={"controlnet": module},
        control_image=[pixels(image)],
        control_mode=[UNION_NUMBERS[kind]],
        controlnet_conditioning_scale=0.6,
    )
    assert_alike(ours(tmp_path, models, checkpoint, steer), expected)


def test_a_union_that_is_not_told_the_kind_adds_the_picture_plainly(tmp_path: Path) -> None:
    """Where the part that tells kinds apart adds nothing, told and untold differ in the kind's embedding alone."""
    module = copy.deepcopy(union_net())
    module.spatial_ch_projs.weight.zero_()
    module.spatial_ch_projs.bias.zero_()
    module.control_add_embedding.linear_1.weight.zero_()
    stream = torch.Generator().manual_seed(0)
    conditions = {
        "context": torch.randn(2, 7, module.config.cross_attention_dim, generator=stream),
        "pooled": torch.randn(2, 64, generator=stream),
        "size": torch.cat([torch.full((2, 6), 64.0), torch.zeros(2, 6)], dim=1),
    }
    x = torch.randn(2, 4, 8, 8, generator=stream)
    settings: dict[str, Any] = {"picture": pixels(picture()), "factor": 8, "strength": 0.5}
    forward = ForwardPass(
        x=x, timestep=torch.full((2,), 500.0), conditions=conditions, batch=1, regions=(None, None)
    )
    both = [
        UnionControl(module=module, kind=kind, start=0.0, end=1.0, **settings)(forward) for kind in (None, 3)
    ]
    for one, other in zip(both[0].down, both[1].down, strict=True):
        torch.testing.assert_close(one, other)
    torch.testing.assert_close(both[0].mid, both[1].mid)


@pytest.mark.parametrize("layout", ["diffusers", "folder", "stability"])
def test_sd3(layout: str, tmp_path: Path, tiny_models: TinyModels, monkeypatch: pytest.MonkeyPatch) -> None:
    module, image = copy.deepcopy(sd3_control_net(stability=layout == "stability")), picture()
    models, checkpoint = model_folder(tmp_path, tiny_models, "sd3")
    name = "control.safetensors"
    if layout == "folder":
        name = "control"
        module.save_pretrained(models / "controlnet" / name)
    else:
        put(models, name, stability_state(module) if layout == "stability" else module.state_dict())
    file = saved(tmp_path, image[0])

    def steer(graph: Any, parts: Any) -> tuple[Any, Any]:
        both = graph.ControlNetApplySD3(
            positive=parts.positive,
            negative=parts.negative,
            control_net=graph.ControlNetLoader(control_net_name=name),
            vae=parts.checkpoint.vae,
            image=graph.LoadImage(image=file).image,
            strength=0.8,
            start_percent=0.0,
            end_percent=1.0,
        )
        return both.positive, both.negative

    monkeypatch.setattr(DiagonalGaussianDistribution, "sample", lambda self, generator=None: self.mean)
    expected = sd3_theirs(
        tiny_models, module, control_image=pixels(image) * 2 - 1, controlnet_conditioning_scale=0.8
    )
    assert_alike(ours(tmp_path, models, checkpoint, steer), expected)


def test_sd3_inpainting(tmp_path: Path, tiny_models: TinyModels, monkeypatch: pytest.MonkeyPatch) -> None:
    module, image = sd3_control_net(extra=1), picture()
    models, checkpoint = model_folder(tmp_path, tiny_models, "sd3")
    name = put(models, "control.safetensors", module.state_dict())
    file = saved(tmp_path, image[0])

    def steer(graph: Any, parts: Any) -> tuple[Any, Any]:
        whole = graph.SolidMask(value=0.0, width=64, height=64)
        square = graph.SolidMask(value=1.0, width=32, height=32)
        both = graph.ControlNetInpaintingAliMamaApply(
            positive=parts.positive,
            negative=parts.negative,
            control_net=graph.ControlNetLoader(control_net_name=name),
            vae=parts.checkpoint.vae,
            image=graph.LoadImage(image=file).image,
            mask=graph.MaskComposite(destination=whole, source=square, x=16, y=16, operation="add"),
            strength=0.8,
            start_percent=0.0,
            end_percent=1.0,
        )
        return both.positive, both.negative

    monkeypatch.setattr(DiagonalGaussianDistribution, "sample", lambda self, generator=None: self.mean)
    mask = torch.zeros(1, 1, 64, 64)
    mask[..., 16:48, 16:48] = 1
    expected = sd3_theirs(
        tiny_models,
        module,
        kind="StableDiffusion3ControlNetInpaintingPipeline",
        control_image=pixels(image) * 2 - 1,
        control_mask=mask,
        controlnet_conditioning_scale=0.8,
    )
    assert_alike(ours(tmp_path, models, checkpoint, steer), expected)


def sd3_theirs(
    tiny_models: TinyModels, module: Any, kind: str = "StableDiffusion3ControlNetPipeline", **arguments: Any
) -> Tensor:
    """The latent of diffusers' pipeline for the tiny SD 3, at our sigmas."""
    parts = sd3_parts()
    made = getattr(diffusers, kind)(
        transformer=parts.unet,
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(shift=1.0),
        vae=parts.vae,
        controlnet=module,
        **dict.fromkeys(
            ("text_encoder", "text_encoder_2", "text_encoder_3", "tokenizer", "tokenizer_2", "tokenizer_3")
        ),
    )
    made.set_progress_bar_config(disable=True)
    sigmas = scheduled_sigmas("normal", RectifiedFlow(shift=3.0), STEPS)
    latent: Tensor = made(
        **{**texts(tiny_models.sd3()), **arguments},
        sigmas=sigmas[:-1].tolist(),
        num_inference_steps=STEPS,
        guidance_scale=SCALE,
        latents=starting_noise((1, 16, 8, 8), SEED),
        output_type="latent",
        height=SIDE,
        width=SIDE,
    ).images
    return latent / parts.vae.config.scaling_factor + parts.vae.config.shift_factor
