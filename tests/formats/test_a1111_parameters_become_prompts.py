"""A1111's parameters text becomes an API prompt that makes the same picture with our nodes."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphcore.errors import DocumentError
from graphcore.formats.a1111 import parameters_to_prompt
from graphcore.formats.a1111_text import read_parameters

TEXT = """a (red:1.2) fox,
in snow <lora:fluff:0.8>
Negative prompt: blurry,
low quality
Steps: 24, Sampler: DPM++ 2M Karras, CFG scale: 6.5, Seed: 4294967295, Size: 640x448, \
Model hash: 6ce0161689, Model: v1-5-pruned, Lora hashes: "fluff: 1a2b, other: 3c4d", Version: v1.6.0"""


def only(prompt: dict[str, Any], class_type: str) -> dict[str, Any]:
    """The inputs of the one node of a class."""
    (inputs,) = [node["inputs"] for node in prompt.values() if node["class_type"] == class_type]
    return inputs  # type: ignore[no-any-return]


def with_settings(**changes: str) -> dict[str, Any]:
    fields = {"Steps": "20", "Sampler": "Euler", "Seed": "1", "Size": "512x512", "Model": "m"}
    fields |= {name.replace("_", " "): value for name, value in changes.items()}
    return parameters_to_prompt(
        "x\n" + ", ".join(f"{name}: {value}" for name, value in fields.items() if value)
    )


def test_the_text_is_taken_apart() -> None:
    parameters = read_parameters(TEXT)
    assert parameters.prompt == "a (red:1.2) fox,\nin snow <lora:fluff:0.8>"
    assert parameters.negative == "blurry,\nlow quality"
    assert parameters.settings["lora hashes"] == "fluff: 1a2b, other: 3c4d"
    assert parameters.settings["version"] == "v1.6.0"


def test_the_whole_prompt() -> None:
    prompt: Any = parameters_to_prompt(TEXT)
    sampler = only(prompt, "KSampler")
    assert (sampler["sampler_name"], sampler["scheduler"]) == ("dpmpp_2m", "karras")
    assert (sampler["steps"], sampler["cfg"], sampler["seed"], sampler["denoise"]) == (
        24,
        6.5,
        4294967295,
        1.0,
    )
    assert prompt[sampler["positive"][0]]["inputs"]["text"] == "a (red:1.2) fox,\nin snow"
    assert prompt[sampler["negative"][0]]["inputs"]["text"] == "blurry,\nlow quality"
    assert prompt[sampler["latent_image"][0]]["inputs"] == {"width": 640, "height": 448, "batch_size": 1}
    assert only(prompt, "CheckpointLoaderSimple")["ckpt_name"] == "v1-5-pruned.safetensors"
    assert prompt[sampler["model"][0]]["class_type"] == "LoraLoader"
    assert prompt[only(prompt, "SaveImage")["images"][0]]["class_type"] == "VAEDecode"
    for node in prompt.values():
        for value in node["inputs"].values():
            assert not isinstance(value, list) or value[0] in prompt


@pytest.mark.parametrize(
    ("sampler", "schedule", "expected"),
    [
        ("Euler a", "", ("euler_ancestral", "normal")),
        ("DPM++ SDE Karras", "", ("dpmpp_sde", "karras")),
        ("DPM++ 2M SDE Exponential", "", ("dpmpp_2m_sde", "exponential")),
        ("DPM++ 2M", "", ("dpmpp_2m", "normal")),
        ("DPM++ 2M", "Automatic", ("dpmpp_2m", "karras")),
        ("DPM++ 2M", "SGM Uniform", ("dpmpp_2m", "sgm_uniform")),
        ("DPM++ 3M SDE", "Karras", ("dpmpp_3m_sde", "karras")),
        ("DDIM", "", ("ddim", "ddim_uniform")),
        ("UniPC", "Simple", ("uni_pc", "simple")),
    ],
)
def test_samplers_and_schedules(sampler: str, schedule: str, expected: tuple[str, str]) -> None:
    inputs = only(with_settings(Sampler=sampler, Schedule_type=schedule), "KSampler")
    assert (inputs["sampler_name"], inputs["scheduler"]) == expected


@pytest.mark.parametrize(
    ("tag", "on_model", "on_clip"),
    [
        ("<lora:a>", 1.0, 1.0),
        ("<lora:a:0.5>", 0.5, 0.5),
        ("<lora:a:0.5:0.25>", 0.25, 0.5),
        ("<lora:a:te=0.1:unet=-0.2>", -0.2, 0.1),
        ("<lyco:a:.7>", 0.7, 0.7),
    ],
)
def test_lora_tags(tag: str, on_model: float, on_clip: float) -> None:
    inputs = only(parameters_to_prompt(f"x {tag}\nSteps: 5, Model: m"), "LoraLoader")
    assert inputs["lora_name"] == "a.safetensors"
    assert (inputs["strength_model"], inputs["strength_clip"]) == (on_model, on_clip)


def test_loras_are_chained_in_their_order() -> None:
    prompt: Any = parameters_to_prompt("<lora:a:1> <lora:b:1>\nSteps: 5, Model: m")
    last = prompt[only(prompt, "KSampler")["model"][0]]["inputs"]
    assert last["lora_name"] == "b.safetensors"
    assert prompt[last["model"][0]]["inputs"]["lora_name"] == "a.safetensors"


def test_clip_skip_and_vae() -> None:
    prompt: Any = with_settings(Clip_skip="2", VAE="kl-f8.ckpt")
    assert only(prompt, "CLIPSetLastLayer")["stop_at_clip_layer"] == -2
    assert prompt[only(prompt, "VAEDecode")["vae"][0]]["inputs"]["vae_name"] == "kl-f8.ckpt"


def test_textual_inversions_get_the_prefix_that_names_them() -> None:
    text = 'BadHand, badhands\nNegative prompt: easy-neg\nSteps: 5, Model: m, TI hashes: "badhand: 1, easy-neg: 2"'
    prompt: Any = parameters_to_prompt(text)
    texts = [node["inputs"]["text"] for node in prompt.values() if node["class_type"] == "CLIPTextEncode"]
    assert texts == ["embedding:badhand, badhands", "embedding:easy-neg"]


def test_a_hires_pass_in_latent_space() -> None:
    prompt: Any = with_settings(
        Hires_upscale="1.5", Hires_upscaler="Latent (nearest-exact)", Denoising_strength="0.6"
    )
    upscale = only(prompt, "LatentUpscale")
    assert (upscale["upscale_method"], upscale["width"], upscale["height"]) == ("nearest-exact", 768, 768)
    second = prompt[only(prompt, "VAEDecode")["samples"][0]]["inputs"]
    assert (second["denoise"], second["steps"]) == (0.6, 20)
    assert prompt[second["latent_image"][0]]["class_type"] == "LatentUpscale"


def test_a_hires_pass_with_an_upscale_model() -> None:
    prompt: Any = with_settings(
        Hires_resize="800x600", Hires_upscaler="4x-UltraSharp", Hires_steps="7", Denoising_strength="0.3"
    )
    assert only(prompt, "UpscaleModelLoader")["model_name"] == "4x-UltraSharp.pth"
    scale = only(prompt, "ImageScale")
    assert (scale["width"], scale["height"]) == (800, 600)
    assert sorted(node["inputs"]["steps"] for node in prompt.values() if "steps" in node["inputs"]) == [7, 20]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("just a prompt", "not-a1111-parameters"),
        ("x" * (2**20 + 1), "document-too-large"),
        ("x\nSteps: many, Model: m", "bad-a1111-setting"),
        ("x\nSteps: 5, Size: big, Model: m", "bad-a1111-setting"),
        ("<lora:a:strong>\nSteps: 5, Model: m", "bad-a1111-setting"),
        ("x\nSteps: 5, Sampler: Restart, Model: m", "unknown-a1111-name"),
        ("x\nSteps: 5, Schedule type: Odd, Model: m", "unknown-a1111-name"),
        ("x\nSteps: 5", "a1111-no-model"),
        ("x\nSteps: 5, Model: m, Denoising strength: 0.5", "a1111-image-to-image"),
    ],
)
def test_what_cannot_be_read_is_refused(text: str, code: str) -> None:
    with pytest.raises(DocumentError) as caught:
        parameters_to_prompt(text)
    assert caught.value.code == code


def test_a_checkpoint_may_be_given_where_none_is_named() -> None:
    prompt: Any = parameters_to_prompt("x\nSteps: 5", checkpoint="mine.ckpt")
    assert only(prompt, "CheckpointLoaderSimple")["ckpt_name"] == "mine.ckpt"


@settings(max_examples=100, deadline=None)
@given(
    st.text(max_size=60),
    st.lists(
        st.tuples(
            st.sampled_from(
                [
                    "Size",
                    "Seed",
                    "CFG scale",
                    "Sampler",
                    "Hires upscale",
                    "Clip skip",
                    "TI hashes",
                    "VAE",
                    '"',
                ]
            ),
            st.text(max_size=12),
        )
    ),
)
def test_any_text_is_read_or_refused(prompt: str, fields: list[tuple[str, str]]) -> None:
    line = ", ".join(f"{name}: {value}" for name, value in fields)
    with suppress(DocumentError):
        parameters_to_prompt(f"{prompt}\nSteps: 5, Model: m, {line}")
