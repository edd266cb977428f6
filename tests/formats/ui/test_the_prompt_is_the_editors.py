"""A whole graph converts to the prompt that the official editor sends, in every shape that files have had."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from graphcore.formats.ui import is_ui_graph
from tests.formats.ui.drawing import Sketch, convert, text_to_image

EXPECTED: dict[str, Any] = {
    "3": {
        "inputs": {
            "seed": 156680208700286,
            "steps": 12,
            "cfg": 7.5,
            "sampler_name": "dpmpp_2m",
            "scheduler": "karras",
            "denoise": 0.9,
            "model": ["4", 0],
            "positive": ["6", 0],
            "negative": ["7", 0],
            "latent_image": ["5", 0],
        },
        "class_type": "KSampler",
        "_meta": {"title": "KSampler"},
    },
    "4": {
        "inputs": {"ckpt_name": "b.safetensors"},
        "class_type": "CheckpointLoaderSimple",
        "_meta": {"title": "Load Checkpoint"},
    },
    "5": {
        "inputs": {"width": 640, "height": 448, "batch_size": 2},
        "class_type": "EmptyLatentImage",
        "_meta": {"title": "Empty Latent Image"},
    },
    "6": {
        "inputs": {"text": "a hill", "clip": ["4", 1]},
        "class_type": "CLIPTextEncode",
        "_meta": {"title": "CLIP Text Encode (Prompt)"},
    },
    "7": {
        "inputs": {"text": "blurry", "clip": ["4", 1]},
        "class_type": "CLIPTextEncode",
        "_meta": {"title": "Not this"},
    },
    "8": {
        "inputs": {"samples": ["3", 0], "vae": ["4", 2]},
        "class_type": "VAEDecode",
        "_meta": {"title": "VAE Decode"},
    },
    "9": {
        "inputs": {"filename_prefix": "hill", "images": ["8", 0]},
        "class_type": "SaveImage",
        "_meta": {"title": "Save Image"},
    },
}


def test_node_for_node_and_in_the_editors_order() -> None:
    prompt = convert(text_to_image().file())
    assert prompt == EXPECTED
    assert list(prompt) == list(EXPECTED)
    assert [list(node["inputs"]) for node in prompt.values()] == [
        list(node["inputs"]) for node in EXPECTED.values()
    ]


def as_objects(document: dict[str, Any]) -> dict[str, Any]:
    names = ("id", "origin_id", "origin_slot", "target_id", "target_slot", "type")
    return document | {"links": [dict(zip(names, link, strict=True)) for link in document["links"]]}


def as_version_1(document: dict[str, Any]) -> dict[str, Any]:
    reroutes = [{"id": 1, "pos": [0, 0], "linkIds": [1]}]
    return as_objects(document) | {"version": 1, "state": {"lastNodeId": 9}, "reroutes": reroutes}


def with_native_reroutes(document: dict[str, Any]) -> dict[str, Any]:
    extra = {"reroutes": [{"id": 1, "linkIds": [1]}], "linkExtensions": [{"id": 1, "parentId": 1}]}
    return document | {"extra": extra}


def with_links_by_id(document: dict[str, Any]) -> dict[str, Any]:
    return document | {"links": {str(link["id"]): link for link in as_objects(document)["links"]}}


def with_holes(document: dict[str, Any]) -> dict[str, Any]:
    return document | {"links": [None, *document["links"]]}


def with_five_part_links(document: dict[str, Any]) -> dict[str, Any]:
    return document | {"links": [link[:5] for link in document["links"]]}


@pytest.mark.parametrize(
    "reshape",
    [as_objects, as_version_1, with_native_reroutes, with_links_by_id, with_holes, with_five_part_links],
)
def test_every_shape_of_file_gives_the_same_prompt(reshape: Any) -> None:
    assert convert(reshape(text_to_image().file())) == EXPECTED


def test_slots_are_found_by_name_not_by_position() -> None:
    document = copy.deepcopy(text_to_image().file())
    for node in document["nodes"]:
        node["inputs"].reverse()
    assert convert(document) == EXPECTED


def test_text_ids_are_kept() -> None:
    sketch = Sketch().node("load", "LoadImage", ["a.png", "image"]).node("save", "SaveImage", ["x"])
    prompt = convert(sketch.wire("load", 0, "save", "images", "IMAGE").file())
    assert prompt["save"]["inputs"]["images"] == ["load", 0]


@pytest.mark.parametrize(("old", "new"), [("T2IAdapterLoader", "ControlNetLoader")])
def test_classes_of_old_files_get_their_new_names(old: str, new: str) -> None:
    assert convert(Sketch().node(1, old, ["c.pth"]).file())["1"]["class_type"] == new


def test_nodes_that_no_output_needs_are_written_and_notes_are_not() -> None:
    sketch = Sketch().node(1, "EmptyLatentImage").node(2, "Note", ["hello"]).node(3, "MarkdownNote", ["# hi"])
    assert list(convert(sketch.file())) == ["1"]


def test_ui_graphs_are_told_from_prompts() -> None:
    assert is_ui_graph(text_to_image().file())
    assert not is_ui_graph(EXPECTED)
