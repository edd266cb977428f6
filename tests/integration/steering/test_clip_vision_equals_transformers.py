"""What CLIP sees in pictures is what transformers' own encoder sees."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as Pillow
from torch import Tensor
from transformers import CLIPImageProcessor

from graphcore import Graph
from graphcore.errors import ExecutionError
from nodes.control.steering import ClipVisionOutput
from nodes.diffusion.clip_vision import normalised, seen
from tests.integration.steering.steered import saved
from tests.models import TinyModels, prefixed, sd1_state
from tests.steering_models import openclip_vision_state, put, vision_tower
from tests.tiny_engine import all_nodes, tiny_engine


def looked_at(folder: Path, models: Path, name: str, pixels: Tensor, crop: str) -> ClipVisionOutput:
    graph = Graph(all_nodes())
    output = graph.CLIPVisionEncode(
        clip_vision=graph.CLIPVisionLoader(clip_name=name),
        image=graph.LoadImage(image=saved(folder, pixels[0])).image,
        crop=crop,
    )
    graph.output("output", output)
    with tiny_engine(folder, models) as engine:
        result = engine.run(graph.workflow())["output"]
    assert isinstance(result, ClipVisionOutput)
    return result


def random_picture(height: int, width: int) -> Tensor:
    """Smooth enough to be resized in two ways alike."""
    stream = torch.Generator().manual_seed(1)
    small = torch.rand(1, 3, 6, 6, generator=stream)
    large = torch.nn.functional.interpolate(small, (height, width), mode="bilinear")
    return (large * 255).round().div(255).movedim(1, -1)


@pytest.mark.parametrize("layout", ["transformers", "openclip", "folder", "pipeline folder", "in unCLIP"])
def test_each_layout(layout: str, tmp_path: Path) -> None:
    module, models = vision_tower(), tmp_path / "models"
    name = "vision.safetensors"
    if layout == "transformers":
        put(models, name, module.state_dict(), kind="clip_vision")
    elif layout == "openclip":
        put(models, name, openclip_vision_state(module), kind="clip_vision")
    elif layout == "in unCLIP":
        state = prefixed("embedder.model.", openclip_vision_state(module))
        put(models, name, {**sd1_state(), **state}, kind="clip_vision")
    else:
        name = "vision"
        inner = models / "clip_vision" / name
        module.save_pretrained(inner / "image_encoder" if layout == "pipeline folder" else inner)
        if layout == "pipeline folder":
            (inner / "model_index.json").write_text("{}")
    pixels = random_picture(28, 28)
    found = looked_at(tmp_path, models, name, pixels, "center")
    expected = module(normalised(pixels.movedim(-1, 1)), output_hidden_states=True)
    torch.testing.assert_close(found.embeds, expected.image_embeds, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found.last_hidden, expected.last_hidden_state, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found.penultimate_hidden, expected.hidden_states[-2], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("height", "width"), [(28, 28), (64, 48), (50, 91), (20, 24)])
def test_pictures_are_prepared_as_transformers_does(height: int, width: int) -> None:
    """To a level or two of 255: resizing is torch's here, and Pillow's there."""
    pixels = random_picture(height, width)
    processor = CLIPImageProcessor(
        size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28}, do_convert_rgb=False
    )
    picture = Pillow.fromarray((pixels[0] * 255).byte().numpy())
    expected = torch.from_numpy(np.stack(processor(picture)["pixel_values"]))
    found = normalised(seen(pixels, 28, crop=True))
    assert float((found - expected).abs().max()) < 0.05


def test_without_cutting_all_is_seen() -> None:
    wide = torch.zeros(1, 28, 84, 3)
    wide[:, :, 56:] = 1.0
    assert float(seen(wide, 28, crop=True).max()) < 0.5
    assert float(seen(wide, 28, crop=False)[..., 24].min()) > 0.9


def test_sizes_that_shapes_do_not_tell_are_said(tmp_path: Path) -> None:
    """Heads and activation come from the header, or from a side-car file."""
    module = copy.deepcopy(vision_tower(128, activation="gelu"))
    models = tmp_path / "models"
    told = {"graphcore.config": {"hidden_act": "gelu", "num_attention_heads": 2}}
    put(models, "told.safetensors", module.state_dict(), kind="clip_vision", metadata=told)
    pixels = random_picture(28, 28)
    found = looked_at(tmp_path, models, "told.safetensors", pixels, "none")
    expected = module(normalised(pixels.movedim(-1, 1)))
    torch.testing.assert_close(found.embeds, expected.image_embeds, atol=1e-5, rtol=1e-5)


def test_a_file_without_an_image_encoder_is_told(tmp_path: Path, tiny_models: TinyModels) -> None:
    models = tmp_path / "models"
    put(models, "sd1.safetensors", sd1_state(), kind="clip_vision")
    with pytest.raises(ExecutionError, match="holds no CLIP image encoder") as caught:
        looked_at(tmp_path, models, "sd1.safetensors", random_picture(28, 28), "none")
    assert caught.value.code == "model-file-family"


def test_each_picture_of_a_batch_is_seen() -> None:
    batch = torch.cat([random_picture(28, 28), 1 - random_picture(28, 28)])
    squares: Any = seen(batch, 28, crop=True)
    assert squares.shape == (2, 3, 28, 28)
    torch.testing.assert_close(squares[0] + squares[1], torch.ones(3, 28, 28), atol=0.01, rtol=0)
