"""ControlNet-LLLites change what attention takes as their author's formula says, in diffusers' own pipelines.

The formula (kohya 2023, sd-scripts/docs/train_lllite_README): a layer that takes x is given x + up(mid([c, down(x)])),
where c is the picture, in [-1, 1], after convolutions that bring it to the layer's size.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, linear, relu

from graphcore import GraphcoreError
from nodes.diffusion.companion_inspection import COMPANIONS
from nodes.diffusion.control_file import open_control
from tests.integration.steering.steered import assert_alike, model_folder, ours, picture, saved, theirs
from tests.models import TinyModels
from tests.steering_models import PARTS, put

State = dict[str, Tensor]
PIPELINES = {"sd1": "StableDiffusionPipeline", "sdxl": "StableDiffusionXLPipeline"}
STRENGTH = 0.7
DEPTHS = {1: (4, 2), 2: (4, 4), 3: (4, 4, 2)}
"""The kernels of the picture's convolutions, where sides are 8, 16 and 32 pixels a place."""


def layers_of(family: str) -> dict[str, tuple[str, int]]:
    """The layers that a file changes in the tiny UNet of a family: diffusers' name, and how deep they are.

    By the name of the original layout: the tiny UNets have blocks 1 (and, after a downsampler, 3), and the middle.
    """
    blocks = {
        "sd1": {
            "input_blocks_1_1": ("down_blocks.0.attentions.0", 1),
            "middle_block_1": ("mid_block.attentions.0", 2),
        },
        "sdxl": {
            "input_blocks_3_1": ("down_blocks.1.attentions.0", 2),
            "middle_block_1": ("mid_block.attentions.0", 2),
        },
    }[family]
    found = {}
    for original, (name, depth) in blocks.items():
        for layer in ("attn1.to_q", "attn1.to_k", "attn1.to_v", "attn2.to_q"):
            key = f"lllite_unet_{original}_transformer_blocks_0_{layer.replace('.', '_')}"
            found[key] = (f"{name}.transformer_blocks.0.{layer}", depth)
    return found


def lllite_state(family: str, *, seed: int = 5, width: int = 6, seen: int = 8) -> State:
    """Random weights in the layout of the author's files."""
    stream = torch.Generator().manual_seed(seed)
    unet, state = PARTS[family]().unet, {}

    def add(name: str, *shape: int) -> None:
        state[f"{name}.weight"] = torch.randn(shape, generator=stream) / (
            torch.tensor(shape[1:]).prod() ** 0.5
        )
        state[f"{name}.bias"] = 0.2 * torch.randn(shape[0], generator=stream)

    for key, (name, depth) in layers_of(family).items():
        takes = unet.get_submodule(name).in_features
        kernels = DEPTHS[depth]
        channels = [3, *[seen // 2] * (len(kernels) - 1), seen]
        for place, kernel in enumerate(kernels):
            add(f"{key}.conditioning1.{2 * place}", channels[place + 1], channels[place], kernel, kernel)
        add(f"{key}.down.0", width, takes)
        add(f"{key}.mid.0", width, width + seen)
        add(f"{key}.up.0", takes, width)
    return state


class Changed(nn.Module):
    """A layer whose input is changed by the formula, written out from the tensors of the file."""

    def __init__(self, layer: nn.Module, tensors: State, pixels: Tensor) -> None:
        super().__init__()
        self.layer, self.tensors = layer, tensors
        seen, place = pixels * 2 - 1, 0
        while f"conditioning1.{place}.weight" in tensors:
            weight, bias = tensors[f"conditioning1.{place}.weight"], tensors[f"conditioning1.{place}.bias"]
            seen = conv2d(relu(seen) if place else seen, weight, bias, stride=weight.shape[-1])
            place += 2
        self.seen = seen.flatten(2).transpose(1, 2)

    def forward(self, x: Tensor) -> Tensor:
        seen = self.seen.repeat(len(x) // len(self.seen), 1, 1)
        small = relu(linear(x, self.tensors["down.0.weight"], self.tensors["down.0.bias"]))
        mixed = relu(
            linear(torch.cat([seen, small], dim=2), self.tensors["mid.0.weight"], self.tensors["mid.0.bias"])
        )
        added = linear(mixed, self.tensors["up.0.weight"], self.tensors["up.0.bias"])
        result: Tensor = self.layer(x + STRENGTH * added)
        return result


def changed_unet(family: str, state: State, pixels: Tensor) -> Any:
    unet = copy.deepcopy(PARTS[family]().unet)
    for key, (name, _) in layers_of(family).items():
        tensors = {k.removeprefix(f"{key}."): v for k, v in state.items() if k.startswith(f"{key}.")}
        owner, _, last = name.rpartition(".")
        setattr(unet.get_submodule(owner), last, Changed(unet.get_submodule(name), tensors, pixels))
    return unet


def steer_with(file: str, **more: Any) -> Any:
    def steer(graph: Any, parts: Any) -> tuple[Any, Any]:
        both = graph.ControlNetApplyAdvanced(
            positive=parts.positive,
            negative=parts.negative,
            control_net=graph.ControlNetLoader(control_net_name="lllite.safetensors"),
            image=graph.LoadImage(image=file).image,
            **{"strength": STRENGTH, "start_percent": 0.0, "end_percent": 1.0, **more},
        )
        return both.positive, both.negative

    return steer


@pytest.mark.parametrize("family", ["sd1", "sdxl"])
def test_each_family(family: str, tmp_path: Path, tiny_models: TinyModels) -> None:
    state, image = lllite_state(family), picture()
    models, checkpoint = model_folder(tmp_path, tiny_models, family)
    put(models, "lllite.safetensors", state)
    found = ours(tmp_path, models, checkpoint, steer_with(saved(tmp_path, image[0])))
    unet = changed_unet(family, state, image.movedim(-1, 1))
    expected = theirs(tmp_path, tiny_models, family, PIPELINES[family], extra={"unet": unet})
    assert_alike(found, expected)
    plain = ours(tmp_path, models, checkpoint, lambda graph, parts: (parts.positive, parts.negative))
    assert float((found - plain).norm() / plain.norm()) > 1e-3


def test_two_at_once_and_a_part_of_the_schedule(tmp_path: Path, tiny_models: TinyModels) -> None:
    """Strengths add up; outside its part one changes nothing."""
    models, checkpoint = model_folder(tmp_path, tiny_models, "sd1")
    put(models, "lllite.safetensors", lllite_state("sd1"))
    file = saved(tmp_path, picture()[0])

    def twice(graph: Any, parts: Any) -> tuple[Any, Any]:
        parts.positive, parts.negative = steer_with(file, strength=0.3)(graph, parts)
        both: tuple[Any, Any] = steer_with(file, strength=0.4)(graph, parts)
        return both

    once = ours(tmp_path, models, checkpoint, steer_with(file))
    assert_alike(ours(tmp_path, models, checkpoint, twice), once)
    late = ours(tmp_path, models, checkpoint, steer_with(file, start_percent=1.0))
    plain = ours(tmp_path, models, checkpoint, lambda graph, parts: (parts.positive, parts.negative))
    assert torch.equal(late, plain)
    assert not torch.equal(once, plain)


def test_each_sample_follows_its_own_picture(tmp_path: Path, tiny_models: TinyModels) -> None:
    models, checkpoint = model_folder(tmp_path, tiny_models, "sd1")
    put(models, "lllite.safetensors", lllite_state("sd1"))
    files = [saved(tmp_path, picture(seed)[0], f"{seed}.png") for seed in (0, 1)]

    def batched(graph: Any, parts: Any) -> tuple[Any, Any]:
        both = graph.ControlNetApplyAdvanced(
            positive=parts.positive,
            negative=parts.negative,
            control_net=graph.ControlNetLoader(control_net_name="lllite.safetensors"),
            image=graph.ImageBatch(
                image1=graph.LoadImage(image=files[0]).image, image2=graph.LoadImage(image=files[1]).image
            ),
            strength=STRENGTH,
        )
        return both.positive, both.negative

    both = ours(tmp_path, models, checkpoint, batched, batch_size=2)
    first = ours(tmp_path, models, checkpoint, steer_with(files[0]))
    assert_alike(both[:1], first)


def test_sizes_between_cells_work(tmp_path: Path, tiny_models: TinyModels) -> None:
    """A latent with odd sides: pictures are filled up to whole places of each layer."""
    models, checkpoint = model_folder(tmp_path, tiny_models, "sd1")
    put(models, "lllite.safetensors", lllite_state("sd1"))
    file = saved(tmp_path, picture()[0])

    def odd(graph: Any, parts: Any) -> tuple[Any, Any]:
        parts.latent = graph.EmptyLatentImage(width=72, height=56, batch_size=1)
        both: tuple[Any, Any] = steer_with(file)(graph, parts)
        return both

    found = ours(tmp_path, models, checkpoint, odd)
    assert found.shape == (1, 4, 7, 9)
    assert torch.isfinite(found).all()


def test_another_family_and_cut_attention_are_told(tmp_path: Path, tiny_models: TinyModels) -> None:
    models, checkpoint = model_folder(tmp_path, tiny_models, "sd1")
    file = saved(tmp_path, picture()[0])
    put(models, "lllite.safetensors", lllite_state("sdxl"))
    with pytest.raises(GraphcoreError, match=r"was made for SDXL, but the model is Stable Diffusion 1"):
        ours(tmp_path, models, checkpoint, steer_with(file))
    put(models, "lllite.safetensors", lllite_state("sd1"))

    def tiled(graph: Any, parts: Any) -> tuple[Any, Any]:
        parts.model = graph.HyperTile(model=parts.model, tile_size=32)
        both: tuple[Any, Any] = steer_with(file)(graph, parts)
        return both

    with pytest.raises(GraphcoreError, match="does not go together with nodes that cut or merge"):
        ours(tmp_path, models, checkpoint, tiled)


def test_files_are_described(tmp_path: Path) -> None:
    put(tmp_path, "one.safetensors", lllite_state("sd1"))
    put(tmp_path, "two.safetensors", lllite_state("sdxl"))
    told = COMPANIONS["controlnet"](tmp_path / "controlnet" / "one.safetensors")
    assert told == {"kind": "ControlNet-LLLite", "made for": "Stable Diffusion 1.x"}
    assert COMPANIONS["controlnet"](tmp_path / "controlnet" / "two.safetensors")["made for"] == "SDXL"
    assert open_control(tmp_path / "controlnet" / "one.safetensors").part.kind == "lllite"
