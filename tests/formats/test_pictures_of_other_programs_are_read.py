"""Fooocus, InvokeAI and NovelAI write their settings into pictures as JSON."""

from __future__ import annotations

import io
import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from graphcore.errors import DocumentError
from graphcore.formats.a1111 import left_out, prompt_of
from graphcore.formats.generators import read_settings
from graphcore.formats.reading import find_document

FOOOCUS = {
    "base_model": "juggernautXL_v8",
    "full_negative_prompt": ["blurry", "text"],
    "full_prompt": ["a fox in snow", "cinematic still"],
    "guidance_scale": 4.0,
    "loras": [["offset.safetensors", 0.1, "0123"], ["None", "x"]],
    "metadata_scheme": "fooocus",
    "negative_prompt": "blurry",
    "prompt": "a fox in snow",
    "refiner_model": "None",
    "resolution": "(1152, 896)",
    "sampler": "dpmpp_2m_sde_gpu",
    "scheduler": "karras",
    "seed": "6543210987654321",
    "steps": 30,
    "vae": "Default (model)",
}
INVOKE = {
    "generation_mode": "sdxl_txt2img",
    "positive_prompt": "a harbour",
    "negative_prompt": "fog",
    "width": 1024,
    "height": 768,
    "seed": 77,
    "cfg_scale": 7.5,
    "steps": 25,
    "scheduler": "dpmpp_2m_k",
    "clip_skip": 0,
    "model": {"key": "1", "hash": "blake3:00", "name": "harbours", "base": "sdxl", "type": "main"},
    "loras": [{"model": {"name": "ropes"}, "weight": 0.75}],
    "controlnets": [{"control_model": {}}],
}
OLD_INVOKE = {
    "model": "stable diffusion",
    "model_weights": "stable-diffusion-1.5",
    "image": {
        "prompt": [{"prompt": "a pier at dusk", "weight": 1}],
        "steps": 50,
        "cfg_scale": 7.5,
        "width": 512,
        "height": 512,
        "sampler": "k_lms",
        "seed": 3,
    },
}
NOVEL = {
    "prompt": "{{fox}}, [snow], (night)",
    "steps": 28,
    "height": 1216,
    "width": 832,
    "scale": 5.0,
    "seed": 12,
    "sampler": "k_euler_ancestral",
    "noise_schedule": "karras",
    "uc": "lowres",
}


def picture(**texts: object) -> bytes:
    info = PngInfo()
    for name, value in texts.items():
        info.add_text(name.replace("__", "-"), value if isinstance(value, str) else json.dumps(value))
    target = io.BytesIO()
    Image.new("RGB", (4, 4)).save(target, "PNG", pnginfo=info)
    return target.getvalue()


@pytest.mark.parametrize(
    ("data", "model", "sampler", "seed", "size", "prompt"),
    [
        (
            picture(parameters=FOOOCUS, fooocus_scheme="fooocus"),
            "juggernautXL_v8",
            ("dpmpp_2m_sde_gpu", "karras"),
            6543210987654321,
            (1152, 896),
            "a fox in snow BREAK cinematic still",
        ),
        (
            picture(invokeai_metadata=INVOKE),
            "harbours",
            ("dpmpp_2m", "karras"),
            77,
            (1024, 768),
            "a harbour",
        ),
        (
            picture(sd__metadata=OLD_INVOKE, Dream='"a pier at dusk" -s 50'),
            "stable-diffusion-1.5",
            ("lms", "normal"),
            3,
            (512, 512),
            "a pier at dusk",
        ),
        (
            picture(
                Title="AI generated image",
                Software="NovelAI",
                Source="Stable Diffusion XL C1E1DE52",
                Comment=NOVEL,
            ),
            "Stable Diffusion XL C1E1DE52",
            ("euler_ancestral", "karras"),
            12,
            (832, 1216),
            "((fox:1.05):1.05), (snow:0.952), \\(night\\)",
        ),
    ],
    ids=["fooocus", "invokeai", "old invokeai", "novelai"],
)
def test_the_settings_become_a_prompt(
    data: bytes, model: str, sampler: tuple[str, str], seed: int, size: tuple[int, int], prompt: str
) -> None:
    nodes: Any = find_document(data)
    by_class = {node["class_type"]: node["inputs"] for node in reversed(nodes.values())}
    assert by_class["CheckpointLoaderSimple"]["ckpt_name"] == f"{model}.safetensors"
    inputs = by_class["KSampler"]
    assert (inputs["sampler_name"], inputs["scheduler"], inputs["seed"]) == (*sampler, seed)
    assert (by_class["EmptyLatentImage"]["width"], by_class["EmptyLatentImage"]["height"]) == size
    assert nodes[inputs["positive"][0]]["inputs"]["text"] == prompt


def test_loras_and_what_is_left_out() -> None:
    parameters = read_settings(json.dumps(INVOKE))
    assert parameters is not None
    assert left_out(parameters) == ("ControlNet",)
    nodes: Any = prompt_of(parameters)
    (lora,) = [node["inputs"] for node in nodes.values() if node["class_type"] == "LoraLoader"]
    assert (lora["lora_name"], lora["strength_model"]) == ("ropes.safetensors", 0.75)


@pytest.mark.parametrize(
    "document", [INVOKE | {"generation_mode": "img2img"}, NOVEL | {"strength": 0.5, "image": "x"}]
)
def test_pictures_made_from_others_are_refused(document: dict[str, Any]) -> None:
    with pytest.raises(DocumentError) as caught:
        read_settings(json.dumps(document))
    assert caught.value.code == "a1111-image-to-image"


@pytest.mark.parametrize(
    "texts",
    [
        {"Comment": "Created with GIMP"},
        {"Comment": "{"},
        {"Comment": '{"a": 1}'},
        {"invokeai_metadata": "[1]"},
        {"Source": "a camera"},
    ],
)
def test_other_comments_are_no_workflow(texts: dict[str, str]) -> None:
    with pytest.raises(DocumentError) as caught:
        find_document(picture(**texts))
    assert caught.value.code == "no-workflow-in-picture"


def test_a_prompt_that_begins_with_a_brace_is_text() -> None:
    nodes: Any = find_document(picture(parameters="{red|blue} fox\nSteps: 5, Model: m"))
    assert any(node["inputs"].get("text") == "{red|blue} fox" for node in nodes.values())


def test_a_damaged_prompt_gives_way_to_the_graph() -> None:
    graph = {"nodes": [], "links": []}
    assert find_document(picture(prompt="{broken", workflow=graph)) == graph


VALUES = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=8)
NESTED = st.recursive(
    VALUES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from([FOOOCUS, INVOKE, OLD_INVOKE, NOVEL]), st.data())
def test_any_values_are_read_or_refused(document: dict[str, Any], data: st.DataObject) -> None:
    changed = dict(document)
    for name in data.draw(st.lists(st.sampled_from(sorted(document)), max_size=4)):
        changed[name] = data.draw(NESTED)
    with suppress(DocumentError):
        parameters = read_settings(json.dumps(changed), source="x")
        if parameters is not None:
            prompt_of(parameters)
