"""An IP-Adapter in a workflow leads to the latents of diffusers' pipelines with the same adapter loaded."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from graphcore.errors import ExecutionError
from nodes.diffusion.clip_vision import normalised, seen
from nodes.diffusion.hints import HintResolver
from tests.integration.steering.steered import (
    assert_alike,
    loaded_pipeline,
    model_folder,
    ours,
    picture,
    saved,
    settings_for,
)
from tests.models import TinyModels, sd1_parts
from tests.steering_models import control_net, control_state, image_adapter, put, vision_tower

PIPELINES = {"sd1": "StableDiffusionPipeline", "sdxl": "StableDiffusionXLPipeline"}
WEIGHT = 0.7


def expected(
    folder: Path, models: TinyModels, family: str, kind: str, images: Tensor, mask: Tensor | None = None
) -> Tensor:
    """The latent of diffusers' pipeline that sees `images` (number, height, width, 3) through the adapter."""
    parts, state = PIPELINES[family], image_adapter(family, kind)
    made = loaded_pipeline(folder, family, parts, extra={})
    made.register_modules(unet=copy.deepcopy(made.unet))
    halves: dict[str, dict[str, Tensor]] = {"image_proj": {}, "ip_adapter": {}}
    for name, tensor in state.items():
        half, _, rest = name.partition(".")
        halves[half][rest] = tensor
    made.load_ip_adapter(halves, subfolder="", weight_name="", image_encoder_folder=None)
    made.set_ip_adapter_scale(WEIGHT)
    inputs = normalised(seen(images, 28, crop=True))
    tower = vision_tower()
    with torch.no_grad():
        if kind == "plain":
            positive = tower(inputs).image_embeds
            negative = torch.zeros_like(positive)
        else:
            positive = tower(inputs, output_hidden_states=True).hidden_states[-2]
            negative = tower(torch.zeros_like(inputs), output_hidden_states=True).hidden_states[-2]
    extra: dict[str, Any] = {"ip_adapter_image_embeds": [torch.stack([negative, positive])]}
    if mask is not None:
        extra["cross_attention_kwargs"] = {"ip_adapter_masks": [mask[None]]}
    latent: Tensor = made(**settings_for(models, family), **extra).images
    return latent / made.vae.config.scaling_factor


def steering(name: str, files: list[str], **inputs: Any) -> Any:
    def steer(graph: Any, parts: Any) -> tuple[Any, Any]:
        image = graph.LoadImage(image=files[0]).image
        for file in files[1:]:
            image = graph.ImageBatch(image1=image, image2=graph.LoadImage(image=file).image)
        settings: dict[str, Any] = {
            "weight": WEIGHT,
            "start_percent": 0.0,
            "end_percent": 1.0,
            "pictures": "together",
            **{key: value(graph) if callable(value) else value for key, value in inputs.items()},
        }
        both = graph.ApplyIPAdapter(
            positive=parts.positive,
            negative=parts.negative,
            ipadapter=graph.LoadIPAdapter(ipadapter_file=name),
            clip_vision_output=graph.CLIPVisionEncode(
                clip_vision=graph.CLIPVisionLoader(clip_name="vision.safetensors"),
                image=image,
                crop="center",
            ),
            **settings,
        )
        return both.positive, both.negative

    return steer


@pytest.fixture
def place(tmp_path: Path, tiny_models: TinyModels) -> tuple[Path, Path, str]:
    """A folder, its models with an adapter for SD 1.x and its image encoder, and the checkpoint's name."""
    models, checkpoint = model_folder(tmp_path, tiny_models, "sd1")
    put(models, "vision.safetensors", vision_tower().state_dict(), kind="clip_vision")
    put(models, "adapter.safetensors", image_adapter(), kind="ipadapter")
    for number in range(2):
        saved(tmp_path, picture(number)[0], f"{number}.png")
    return tmp_path, models, checkpoint


@pytest.mark.parametrize("kind", ["plain", "plus", "full"])
@pytest.mark.parametrize("family", ["sd1", "sdxl"])
def test_each_kind_and_family(family: str, kind: str, tmp_path: Path, tiny_models: TinyModels) -> None:
    models, checkpoint = model_folder(tmp_path, tiny_models, family)
    put(models, "vision.safetensors", vision_tower().state_dict(), kind="clip_vision")
    name = put(models, f"{kind}.safetensors", image_adapter(family, kind), kind="ipadapter")
    file = saved(tmp_path, picture()[0])
    found = ours(tmp_path, models, checkpoint, steering(name, [file]))
    assert_alike(found, expected(tmp_path, tiny_models, family, kind, picture()))
    plain = ours(tmp_path, models, checkpoint, lambda graph, parts: (parts.positive, parts.negative))
    assert (found - plain).abs().max() > 0.01


def test_several_pictures_together(place: tuple[Path, Path, str], tiny_models: TinyModels) -> None:
    found = ours(*place, steering("adapter.safetensors", ["0.png", "1.png"]))
    images = torch.cat([picture(0), picture(1)])
    assert_alike(found, expected(place[0], tiny_models, "sd1", "plain", images))


def test_where_a_mask_is(place: tuple[Path, Path, str], tiny_models: TinyModels) -> None:
    mask = torch.zeros(1, 64, 64)
    mask[:, 8:40, 16:64] = 1

    def masked(graph: Any) -> Any:
        whole = graph.SolidMask(value=0.0, width=64, height=64)
        part = graph.SolidMask(value=1.0, width=48, height=32)
        return graph.MaskComposite(destination=whole, source=part, x=16, y=8, operation="add")

    found = ours(*place, steering("adapter.safetensors", ["0.png"], mask=masked))
    assert_alike(found, expected(place[0], tiny_models, "sd1", "plain", picture(), mask))


def test_each_sample_its_own(place: tuple[Path, Path, str]) -> None:
    each = ours(
        *place, steering("adapter.safetensors", ["0.png", "1.png"], pictures="one a sample"), batch_size=2
    )
    same = ours(*place, steering("adapter.safetensors", ["0.png"]), batch_size=2)
    assert_alike(each[:1], same[:1])
    assert (each[1:] - same[1:]).abs().max() > 0.01


def test_in_a_part_of_the_schedule(place: tuple[Path, Path, str]) -> None:
    plain = ours(*place, lambda graph, parts: (parts.positive, parts.negative))
    late = steering("adapter.safetensors", ["0.png"], start_percent=0.9, end_percent=0.95)
    assert torch.equal(ours(*place, late), plain)
    assert torch.equal(ours(*place, steering("adapter.safetensors", ["0.png"], weight=0.0)), plain)
    early = ours(*place, steering("adapter.safetensors", ["0.png"], end_percent=0.5))
    always = ours(*place, steering("adapter.safetensors", ["0.png"]))
    assert (early - plain).abs().max() > 0.01
    assert (early - always).abs().max() > 0.01


def test_beside_a_controlnet_and_in_an_area(place: tuple[Path, Path, str]) -> None:
    put(place[1], "control.safetensors", control_state(control_net()))

    def steer(adapter: bool) -> Any:
        def graph_of(graph: Any, parts: Any) -> tuple[Any, Any]:
            if adapter:
                parts.positive, parts.negative = steering("adapter.safetensors", ["0.png"])(graph, parts)
            area = graph.ConditioningSetArea(
                conditioning=parts.positive, width=64, height=64, x=0, y=0, strength=1.0
            )
            both = graph.ControlNetApplyAdvanced(
                positive=graph.ConditioningCombine(conditioning_1=area, conditioning_2=parts.positive),
                negative=parts.negative,
                control_net=graph.ControlNetLoader(control_net_name="control.safetensors"),
                image=graph.LoadImage(image="1.png").image,
                strength=0.5,
                start_percent=0.0,
                end_percent=1.0,
            )
            return both.positive, both.negative

        return ours(*place, graph_of)

    with_adapter, without = steer(True), steer(False)
    assert torch.isfinite(with_adapter).all()
    assert (with_adapter - without).abs().max() > 0.01


def test_both_sides_of_guidance_share_forward_passes(
    place: tuple[Path, Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    networks = []
    resolve = HintResolver.__call__

    def noted(self: HintResolver, hint: Any) -> Any:
        ready = resolve(self, hint)
        networks.append(ready.network)
        return ready

    monkeypatch.setattr(HintResolver, "__call__", noted)
    ours(*place, steering("adapter.safetensors", ["0.png"]))
    assert len(networks) == 2
    assert networks[0] is networks[1]


@pytest.mark.parametrize(
    ("case", "code"),
    [
        ("another family", "wrong-family"),
        ("another encoder", "wrong-family"),
        ("face identity", "model-file-family"),
        ("no adapter", "model-file-family"),
    ],
)
def test_what_does_not_fit_is_told(case: str, code: str, place: tuple[Path, Path, str]) -> None:
    state = dict(image_adapter())
    if case == "another family":
        state = image_adapter("sdxl")
    elif case == "another encoder":
        put(place[1], "vision.safetensors", vision_tower(128, projection=32).state_dict(), kind="clip_vision")
    elif case == "face identity":
        state["ip_adapter.1.to_q_lora.down.weight"] = torch.ones(1)
    else:
        state = sd1_parts().unet.state_dict()
    put(place[1], "adapter.safetensors", state, kind="ipadapter")
    with pytest.raises(ExecutionError) as caught:
        ours(*place, steering("adapter.safetensors", ["0.png"]))
    assert caught.value.code == code
