"""One node resizes pictures or masks in eight ways; editors show the inputs of the way that is chosen."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

from graphcore import InputError, Registry, read_workflow, validate
from graphcore.formats.object_info import object_info
from graphcore.formats.reading import own_definitions
from graphcore.formats.ui import read_ui_graph, to_api_prompt, to_ui_graph
from nodes.pack import register
from nodes.pictures.resizing import resize_image_mask
from nodes.values import Image, Mask

REGISTRY = Registry()
register(REGISTRY)
IMAGE = Image(torch.rand(2, 40, 60, 3, generator=torch.Generator().manual_seed(1)))
MASK = Mask(torch.ones(1, 40, 60))


@pytest.mark.parametrize(
    ("way", "given", "size"),
    [
        ("scale by multiplier", {"multiplier": 0.5}, (30, 20)),
        ("scale dimensions", {"width": 10, "height": 20, "crop": "center"}, (10, 20)),
        ("scale dimensions", {"width": 30, "height": 0}, (30, 20)),
        ("scale dimensions", {"width": 0, "height": 0}, (60, 40)),
        ("scale longer dimension", {"longer_size": 120}, (120, 80)),
        ("scale shorter dimension", {"shorter_size": 20}, (30, 20)),
        ("scale width", {"width": 6}, (6, 4)),
        ("scale height", {"height": 4}, (6, 4)),
        ("scale total pixels", {"megapixels": 0.02}, (177, 118)),
        ("match size", {"match": Mask(torch.ones(1, 7, 9))}, (9, 7)),
        ("scale width", {}, (512, 341)),
    ],
)
def test_sizes(way: Any, given: dict[str, Any], size: tuple[int, int]) -> None:
    options = {f"resize_type.{name}": value for name, value in given.items()}
    image = resize_image_mask(IMAGE, way, "bilinear", **options)
    mask = resize_image_mask(MASK, way, "lanczos", **options)
    assert image.pixels.shape == (2, size[1], size[0], 3)
    assert mask.values.shape == (1, size[1], size[0])
    assert float(mask.values.min()) > 0.999


@pytest.mark.parametrize(
    "options",
    [{"resize_type.width": "wide"}, {"resize_type.width": -1}, {"resize_type.crop": "left"}],
)
def test_what_does_not_fit_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        resize_image_mask(IMAGE, "scale dimensions", **options)
    with pytest.raises(InputError):
        resize_image_mask("text", "scale width")


def prompt() -> dict[str, Any]:
    return {
        "1": {"class_type": "LoadImage", "inputs": {"image": "a.png"}},
        "2": {
            "class_type": "ResizeImageMaskNode",
            "inputs": {
                "resize_type": "scale dimensions",
                "resize_type.width": 640,
                "resize_type.height": 0,
                "resize_type.crop": "disabled",
                "scale_method": "lanczos",
                "input": ["1", 0],
            },
        },
        "3": {"class_type": "PreviewImage", "inputs": {"images": ["2", 0]}},
    }


def test_it_is_valid_and_gives_what_it_takes() -> None:
    assert validate(read_workflow(prompt(), REGISTRY), REGISTRY) == []
    wrong = prompt()
    wrong["2"]["inputs"]["resize_type"] = "sideways"
    assert [problem.code for problem in validate(read_workflow(wrong, REGISTRY), REGISTRY)] == [
        "not-a-choice"
    ]
    mask = prompt()
    mask["2"]["inputs"]["input"] = ["1", 1]
    assert validate(read_workflow(mask, REGISTRY), REGISTRY) != []


def test_an_editor_draws_the_inputs_of_the_way() -> None:
    definitions = own_definitions(REGISTRY)
    drawn = json.loads(json.dumps(to_ui_graph(prompt(), definitions)))
    values = next(node["widgets_values"] for node in drawn["nodes"] if node["type"] == "ResizeImageMaskNode")
    assert values == ["scale dimensions", 640, 0, "disabled", "lanczos"]
    again: Any = to_api_prompt(read_ui_graph(drawn), definitions)
    assert again["2"]["inputs"] == prompt()["2"]["inputs"]
    info: Any = object_info(REGISTRY)["ResizeImageMaskNode"]
    keys = [option["key"] for option in info["input"]["required"]["resize_type"][1]["options"]]
    assert keys[:2] == ["scale by multiplier", "scale dimensions"]
    assert list(info["input_order"]["required"]) == ["input", "resize_type", "scale_method"]
