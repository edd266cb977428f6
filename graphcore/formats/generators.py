"""Settings that other programs write into pictures as JSON: Fooocus, InvokeAI and NovelAI, told apart by their keys.

They are read into the same `Parameters` as A1111's text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from graphcore.errors import DocumentError
from graphcore.formats.a1111_text import Parameters
from graphcore.jsontext import JSON, parse_json

_SAMPLERS: Final[Mapping[str, str]] = {
    "euler_a": "Euler a",
    "euler_ancestral": "Euler a",
    "lms": "LMS",
    "heun": "Heun",
    "ddim": "DDIM",
    "ddim_v3": "DDIM",
    "plms": "PLMS",
    "kdpm_2": "DPM2",
    "dpm_2": "DPM2",
    "kdpm_2_a": "DPM2 a",
    "dpm_2_ancestral": "DPM2 a",
    "dpm_fast": "DPM fast",
    "dpm_adaptive": "DPM adaptive",
    "dpmpp_2s": "DPM++ 2S a",
    "dpmpp_2s_ancestral": "DPM++ 2S a",
    "dpmpp_2m": "DPM++ 2M",
    "dpmpp_2m_sde": "DPM++ 2M SDE",
    "dpmpp_3m": "DPM++ 3M SDE",
    "dpmpp_sde": "DPM++ SDE",
    "unipc": "UniPC",
}
_MAX_ITEMS: Final = 64


def read_settings(text: str, *, source: str = "") -> Parameters | None:
    """The parameters in a JSON text; None if it is no JSON, or of no program that is known.

    `source` is what NovelAI calls its model. Raises DocumentError (`a1111-image-to-image`).
    """
    try:
        document = parse_json(text, nan_as_null=True)
    except DocumentError:
        return None
    if not isinstance(document, dict):
        return None
    if "base_model" in document and "prompt" in document:
        return _fooocus(document)
    if "positive_prompt" in document:
        return _invoke(document)
    if isinstance(document.get("image"), dict) and "model_weights" in document:
        return _old_invoke(document)
    if "uc" in document and "scale" in document:
        return _novel(document, source)
    return None


def _parameters(prompt: object, negative: object, **settings: object) -> Parameters:
    return Parameters(
        prompt=_text(prompt).strip(),
        negative=_text(negative).strip(),
        settings={
            name.replace("_", " "): _text(value)
            for name, value in settings.items()
            if value is not None and value != ""
        },
    )


def _fooocus(document: Mapping[str, JSON]) -> Parameters:
    prompt = _joined(document.get("full_prompt")) or _text(document.get("prompt"))
    size = re.findall(r"[0-9]+", _text(document.get("resolution")))
    vae = _text(document.get("vae"))
    refiner = _text(document.get("refiner_model"))
    return _parameters(
        f"{prompt} {_tags(document.get('loras'))}",
        _joined(document.get("full_negative_prompt")) or document.get("negative_prompt"),
        model=document.get("base_model"),
        steps=document.get("steps"),
        cfg_scale=document.get("guidance_scale"),
        sampler=document.get("sampler"),
        schedule_type=document.get("scheduler"),
        seed=document.get("seed"),
        size="x".join(size[:2]) if len(size) >= 2 else None,
        vae=None if vae.lower().startswith("default") else vae,
        clip_skip=document.get("clip_skip"),
        refiner=None if refiner.lower() == "none" else refiner,
    )


def _invoke(document: Mapping[str, JSON]) -> Parameters:
    mode = _text(document.get("generation_mode"))
    if not mode.endswith("txt2img") and mode:
        raise DocumentError(
            f"This picture was made in InvokeAI's mode '{mode[:40]}' from another picture, which it does not "
            "hold; build the workflow with a LoadImage node instead.",
            code="a1111-image-to-image",
        )
    sampler, schedule = _sampler(_text(document.get("scheduler")))
    skip = document.get("clip_skip")
    controls = document.get("controlnets") or document.get("t2iAdapters") or document.get("ipAdapters")
    return _parameters(
        f"{_text(document.get('positive_prompt'))} {_tags(document.get('loras'))}",
        document.get("negative_prompt"),
        model=_model_name(document.get("model")),
        steps=document.get("steps"),
        cfg_scale=document.get("cfg_scale"),
        sampler=sampler,
        schedule_type=schedule,
        seed=document.get("seed"),
        size=_size(document),
        vae=_model_name(document.get("vae")),
        clip_skip=skip + 1 if isinstance(skip, int) else None,
        controlnet="true" if controls else None,
    )


def _old_invoke(document: Mapping[str, JSON]) -> Parameters:
    image = document["image"]
    assert isinstance(image, dict)
    given = image.get("prompt")
    parts = given if isinstance(given, list) else [given]
    words = [_text(part.get("prompt") if isinstance(part, dict) else part) for part in parts[:_MAX_ITEMS]]
    sampler, schedule = _sampler(_text(image.get("sampler")))
    return _parameters(
        " ".join(words),
        "",
        model=document.get("model_weights"),
        steps=image.get("steps"),
        cfg_scale=image.get("cfg_scale"),
        sampler=sampler,
        schedule_type=schedule,
        seed=image.get("seed"),
        size=_size(image),
    )


def _novel(document: Mapping[str, JSON], source: str) -> Parameters:
    if document.get("strength") is not None and document.get("image") is not None:
        raise DocumentError(
            "This picture was made from another picture, which it does not hold; build the workflow with a "
            "LoadImage node instead.",
            code="a1111-image-to-image",
        )
    sampler, _ = _sampler(_text(document.get("sampler")))
    schedule = _text(document.get("noise_schedule"))
    return _parameters(
        _novel_weights(_text(document.get("prompt"))),
        _novel_weights(_text(document.get("uc"))),
        model=source or "NovelAI",
        steps=document.get("steps"),
        cfg_scale=document.get("scale"),
        sampler=sampler,
        schedule_type=schedule if schedule in ("karras", "exponential", "polyexponential") else None,
        seed=document.get("seed"),
        size=_size(document),
    )


def _novel_weights(text: str) -> str:
    """Braces strengthen by 1.05 and brackets weaken by as much; round brackets mean themselves."""
    text = re.sub(r"([()])", r"\\\1", text)
    for sign, written in (("{", "("), ("}", ":1.05)"), ("[", "("), ("]", ":0.952)")):
        text = text.replace(sign, written)
    return text


def _sampler(name: str) -> tuple[str, str | None]:
    """A1111's name, and the schedule that InvokeAI hangs on with `_k`."""
    plain = name.removeprefix("k_")
    schedule = "karras" if plain.endswith("_k") else None
    plain = plain.removesuffix("_k")
    return _SAMPLERS.get(plain, plain), schedule


def _size(document: Mapping[str, JSON]) -> str | None:
    width, height = document.get("width"), document.get("height")
    return f"{width}x{height}" if isinstance(width, int) and isinstance(height, int) else None


def _model_name(model: JSON) -> str:
    if isinstance(model, dict):
        return _text(model.get("name") or model.get("model_name"))
    return _text(model)


def _tags(loras: JSON) -> str:
    """LoRAs as tags: pairs of a name and a weight, or objects with a model and a weight."""
    tags: list[str] = []
    for entry in loras[:_MAX_ITEMS] if isinstance(loras, list) else ():
        name, weight = _lora(entry)
        name = re.sub(r"[:<>]", "_", name.removesuffix(".safetensors"))
        if name and isinstance(weight, (int, float)) and not isinstance(weight, bool):
            tags.append(f"<lora:{name}:{weight}>")
    return " ".join(tags)


def _lora(entry: JSON) -> tuple[str, Any]:
    if isinstance(entry, list) and len(entry) >= 2:
        return _text(entry[0]), entry[1]
    if isinstance(entry, dict):
        return _model_name(entry.get("model") or entry.get("lora")), entry.get("weight")
    return "", None


def _joined(parts: JSON) -> str:
    """Texts that are encoded one by one, and then stand side by side."""
    if not isinstance(parts, list):
        return ""
    return " BREAK ".join(part for part in parts[:_MAX_ITEMS] if isinstance(part, str) and part)


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    if value is None or isinstance(value, (dict, list)):
        return ""
    return json.dumps(value)
