"""A1111's text as its forks, extensions and sites write it; each of these is written after what they write."""

from __future__ import annotations

from typing import Any

import pytest

from graphcore import Registry, read_workflow, validate
from graphcore.errors import DocumentError
from graphcore.formats.a1111 import left_out, parameters_to_prompt
from graphcore.formats.a1111_text import read_parameters

OLD = """masterpiece, (a fox:1.2), [snow], <hypernet:fur:0.5>
BREAK forest
Negative prompt: lowres, (bad hands:1.4)
text
Steps: 28, Sampler: DPM++ SDE Karras, CFG scale: 7, Seed: 2867519472, Size: 512x768, Model hash: e3edb8a26f, \
Model: foxes_v2, ENSD: 31337, Eta: 0.67"""
CONTROLLED = """a dancer
Negative prompt: blurry
Steps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7.0, Seed: 1, Size: 512x512, Model hash: abcdef1234, \
Model: sd15, ADetailer model: face_yolov8n.pt, ADetailer confidence: 0.3, ADetailer denoising strength: 0.4, \
ADetailer inpaint only masked: True, ADetailer version: 24.1.1, ControlNet 0: "Module: canny, Model: \
control_v11p_sd15_canny [d14c016b], Weight: 1, Resize Mode: Crop and Resize, Processor Res: 512, Threshold A: 100, \
Guidance Start: 0, Guidance End: 1, Pixel Perfect: True, Control Mode: Balanced", ControlNet 1: "Module: none, \
Model: control_v11f1p_sd15_depth [cfd03158], Weight: 0.6", Version: v1.9.4"""
HIRES = """a hill
Negative prompt: fog
Steps: 30, Sampler: DPM++ 2M SDE, Schedule type: Karras, CFG scale: 6, Seed: 7, Size: 832x1216, Model: base, \
Denoising strength: 0.35, Hires Module 1: Use same choices, Hires CFG Scale: 5, Hires upscale: 1.5, Hires steps: 12, \
Hires upscaler: 4x-UltraSharp, Hires sampler: Euler a, Hires schedule type: Simple, \
Hires prompt: "a hill, \\"sharp\\" grass, flowers", Hires checkpoint: finer.safetensors [0123456789], Version: f2.0.1"""
CIVITAI = """a castle, detailed
Negative prompt: watermark
Steps: 25, Sampler: Euler a, CFG scale: 5, Seed: 99, Size: 832x1216, Clip skip: 2, Created Date: 2024-08-01T10:11:12Z, \
Civitai resources: [{"type":"checkpoint","modelVersionId":290640,"modelName":"Pony, the model"},\
{"type":"lora","weight":0.65,"modelVersionId":1,"modelName":"castles"},{"type":"embed","modelName":"neg"}], \
Civitai metadata: {"remixOfId": 5}"""
SD_NEXT = """a boat
Negative prompt: rain
Steps: 20, Size: 1024x1024, Sampler: Default, Seed: 5, CFG scale: 6, CFG true: 6.0, App: SD.Next, Version: 1a2b3c4, \
Pipeline: StableDiffusionXLPipeline, Operations: txt2img, Model: sdxl-base, LoRA networks: "x:1.0\""""
FORGE = """{red|blue} car
Steps: 4, Sampler: Euler, Schedule type: SGM Uniform, CFG scale: 1, Distilled CFG Scale: 3.5, Seed: 3, Size: 896x1152, \
Model: turbo, RNG: CPU, Version: f2.0.1v1.10.1-previous-224, Module 1: sdxl_vae"""
DYNAMIC = """a cat
Negative prompt: dog
Steps: 9, Sampler: Euler, Seed: 1, Size: 512x512, Model: m, Version: v1.6.0
Template: a {cat|dog}, __colour__
Negative Template: dog"""
ONE_LINE = (
    "a lake, calm Negative prompt: boats, people Steps: 20, Sampler: UniPC, CFG scale: 7, Seed: 4, Size: 640x512, "
    "Model: lakes"
)
NETWORKS = """a face
Steps: 20, Sampler: LMS Karras, Seed: 1, Size: 512x512, Model: m, AddNet Enabled: True, AddNet Module 1: LoRA, \
AddNet Model 1: ink(1a2b3c4d5e6f), AddNet Weight A 1: 0.8, AddNet Weight B 1: 0.4, AddNet Model 2: None, \
AddNet Weight A 2: 1"""
TEXTS = {
    "old": OLD,
    "controlled": CONTROLLED,
    "hires": HIRES,
    "civitai": CIVITAI,
    "sd.next": SD_NEXT,
    "forge": FORGE,
    "dynamic": DYNAMIC,
    "one line": ONE_LINE,
    "networks": NETWORKS,
}


def entries(text: str, kind: str) -> list[dict[str, Any]]:
    """The inputs of every node of a class."""
    return [node["inputs"] for node in parameters_to_prompt(text).values() if node["class_type"] == kind]  # type: ignore[call-overload,index,misc]


def sampler_of(text: str) -> dict[str, Any]:
    return entries(text, "KSampler")[0]


@pytest.fixture(scope="module")
def registry() -> Registry:
    """This project's nodes."""
    return Registry.installed(allow=["graphcore"])


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_it_is_a_valid_workflow(text: str, registry: Registry) -> None:
    assert validate(read_workflow(text.encode(), registry), registry) == []


@pytest.mark.parametrize(
    ("name", "sampler", "scheduler", "steps"),
    [
        ("old", "dpmpp_sde", "karras", 28),
        ("controlled", "dpmpp_2m", "karras", 20),
        ("hires", "dpmpp_2m_sde", "karras", 30),
        ("civitai", "euler_ancestral", "normal", 25),
        ("sd.next", "euler", "normal", 20),
        ("forge", "euler", "sgm_uniform", 4),
        ("dynamic", "euler", "normal", 9),
        ("one line", "uni_pc", "normal", 20),
        ("networks", "lms", "karras", 20),
    ],
)
def test_samplers(name: str, sampler: str, scheduler: str, steps: int) -> None:
    inputs = sampler_of(TEXTS[name])
    assert (inputs["sampler_name"], inputs["scheduler"], inputs["steps"]) == (sampler, scheduler, steps)


@pytest.mark.parametrize(
    ("name", "prompt", "negative"),
    [
        (
            "old",
            "masterpiece, (a fox:1.2), [snow],\nBREAK forest",
            "lowres, (bad hands:1.4)\ntext",
        ),
        ("forge", "{red|blue} car", ""),
        ("dynamic", "a cat", "dog"),
        ("one line", "a lake, calm", "boats, people"),
    ],
)
def test_texts(name: str, prompt: str, negative: str) -> None:
    texts = [entry["text"] for entry in entries(TEXTS[name], "CLIPTextEncode")]
    assert [text.replace(", \n", ",\n") for text in texts] == [prompt, negative]


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("old", ("ENSD", "hypernetwork")),
        ("controlled", ("ADetailer", "ControlNet")),
        ("forge", ("distilled CFG",)),
        ("hires", ()),
        ("civitai", ()),
    ],
)
def test_what_cannot_be_had_is_named(name: str, parts: tuple[str, ...]) -> None:
    assert left_out(read_parameters(TEXTS[name])) == parts
    titles = [node["_meta"]["title"] for node in parameters_to_prompt(TEXTS[name]).values()]  # type: ignore[call-overload,index]
    assert any("without" in title for title in titles) == bool(parts)


def test_quoted_values_hold_commas() -> None:
    settings = read_parameters(CONTROLLED).settings
    assert settings["controlnet 0"].startswith("Module: canny, Model: control_v11p_sd15_canny [d14c016b]")
    assert settings["version"] == "v1.9.4"
    assert "threshold a" not in settings


def test_the_hires_pass_has_texts_model_and_sampling_of_its_own() -> None:
    prompt: Any = parameters_to_prompt(HIRES)
    first, second = (node["inputs"] for node in prompt.values() if node["class_type"] == "KSampler")
    assert (
        second["sampler_name"],
        second["scheduler"],
        second["steps"],
        second["cfg"],
        second["denoise"],
    ) == (
        "euler_ancestral",
        "simple",
        12,
        5.0,
        0.35,
    )
    assert prompt[second["positive"][0]]["inputs"]["text"] == 'a hill, "sharp" grass, flowers'
    assert prompt[second["negative"][0]]["inputs"]["text"] == "fog"
    assert prompt[second["model"][0]]["inputs"]["ckpt_name"] == "finer.safetensors"
    assert prompt[first["model"][0]]["inputs"]["ckpt_name"] == "base.safetensors"
    scale = entries(HIRES, "ImageScale")[0]
    assert (scale["width"], scale["height"]) == (1248, 1824)


@pytest.mark.parametrize(
    ("resize", "size"),
    [("1024x0", (1024, 1536)), ("0x768", (512, 768)), ("1000x1001", (1000, 1000))],
)
def test_a_side_of_0_follows_from_the_other(resize: str, size: tuple[int, int]) -> None:
    text = f"x\nSteps: 5, Size: 512x768, Model: m, Denoising strength: 0.5, Hires resize: {resize}"
    upscale = entries(text, "LatentUpscale")[0]
    assert (upscale["width"], upscale["height"]) == size


def test_civitais_list_names_models() -> None:
    assert entries(CIVITAI, "CheckpointLoaderSimple")[0]["ckpt_name"] == "Pony, the model.safetensors"
    (lora,) = entries(CIVITAI, "LoraLoader")
    assert (lora["lora_name"], lora["strength_model"]) == ("castles.safetensors", 0.65)
    assert entries(CIVITAI, "CLIPSetLastLayer")[0]["stop_at_clip_layer"] == -2


def test_additional_networks_are_loras() -> None:
    (lora,) = entries(NETWORKS, "LoraLoader")
    assert (lora["lora_name"], lora["strength_model"], lora["strength_clip"]) == ("ink.safetensors", 0.8, 0.4)


@pytest.mark.parametrize(
    ("sampler", "schedule", "expected"),
    [
        ("DPM++ 2M SDE Heun Exponential", "", ("dpmpp_2m_sde_heun", "exponential")),
        ("DPM++ 2S a Karras", "", ("dpmpp_2s_ancestral", "karras")),
        ("DPM2 a Karras", "", ("dpm_2_ancestral", "karras")),
        ("PLMS", "", ("ipndm", "normal")),
        ("Euler a", "KL Optimal", ("euler_ancestral", "kl_optimal")),
        ("Euler A SGMUniform", "", ("euler_ancestral", "sgm_uniform")),
        ("dpmpp_2m_sde_gpu", "karras", ("dpmpp_2m_sde_gpu", "karras")),
        ("DDIM", "DDIM", ("ddim", "ddim_uniform")),
        ("DDIM CFG++", "", ("euler_cfg_pp", "ddim_uniform")),
        ("DPM++ 3M SDE", "Automatic", ("dpmpp_3m_sde", "exponential")),
        ("Euler", "Linear Quadratic", ("euler", "linear_quadratic")),
    ],
)
def test_names(sampler: str, schedule: str, expected: tuple[str, str]) -> None:
    line = f"x\nSteps: 5, Sampler: {sampler}, Model: m" + (f", Schedule type: {schedule}" if schedule else "")
    inputs = sampler_of(line)
    assert (inputs["sampler_name"], inputs["scheduler"]) == expected


def test_hashes_behind_names_are_no_part_of_them() -> None:
    text = "x\nSteps: 5, Model: deliberate_v2 [9aba26abdf]"
    assert entries(text, "CheckpointLoaderSimple")[0]["ckpt_name"] == "deliberate_v2.safetensors"


@pytest.mark.parametrize(
    "line",
    [
        'Steps: 5, Model: m, Civitai resources: [{"type":',
        "Steps: 5, Model: m, Civitai resources: {}",
        'Steps: 5, Model: m, ControlNet 0: "never closed, Weight: 1',
        "Steps: 5, Model: m, Civitai resources: " + "[" * 5000,
        "Steps: 5, Model: m, , ,: x, :",
        "Steps: 5, Model: m, Lora hashes: \"a: 1\\\", b: 2\"",
    ],
)  # fmt: skip
def test_damaged_settings_do_no_harm(line: str) -> None:
    assert sampler_of(f"x\n{line}")["steps"] == 5


def test_a_picture_made_from_another_is_refused() -> None:
    with pytest.raises(DocumentError) as caught:
        parameters_to_prompt("x\nSteps: 5, Model: m, Denoising strength: 0.6, Mask blur: 4")
    assert caught.value.code == "a1111-image-to-image"
