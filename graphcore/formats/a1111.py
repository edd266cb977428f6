"""A1111's `parameters` text as an API prompt.

LoRA tags in the prompt become LoraLoader nodes, "Clip skip", "VAE" and the hires pass nodes of their own. What a text
asks for and cannot be had (ADetailer, ControlNets, whose pictures it does not hold) is named in the sampler's title.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from graphcore.errors import DocumentError, InputError
from graphcore.formats.a1111_names import LATENT_UPSCALERS, PIXEL_UPSCALERS, sampling
from graphcore.formats.a1111_text import Parameters, read_parameters
from graphcore.formats.lora_tags import LoraTag, TaggedText, split_lora_tags
from graphcore.jsontext import JSON

MAX_INVERSIONS: Final = 64
MAX_RESOURCES: Final = 64
_HYPERNET: Final = re.compile(r"<hypernet:([^:<>]{1,256})(?::[^<>]{0,64})?>")
_LEFT_OUT: Final[Mapping[str, str]] = {
    r"controlnet( \d+)?": "ControlNet",
    r"adetailer model.*": "ADetailer",
    r"refiner": "refiner",
    r"variation seed strength": "variation seed",
    r"seed resize from": "seed resize",
    r"face restoration": "face restoration",
    r"tiling": "tiling",
    r"script": "script",
    r"postprocess upscale by": "postprocessing",
    r"ensd": "ENSD",
    r"hypernet": "hypernetwork",
    r"rp active": "regional prompts",
    r"dynamic thresholding enabled": "dynamic thresholding",
    r"tiled diffusion": "tiled diffusion",
    r"distilled cfg scale": "distilled CFG",
}


def parameters_to_prompt(text: str, *, checkpoint: str | None = None) -> dict[str, JSON]:
    """The API prompt that these parameters describe.

    `checkpoint` is the file to load when the text names no model (else that name with .safetensors).
    Raises DocumentError: `not-a1111-parameters`, `bad-a1111-setting`, `unknown-a1111-name`,
    `a1111-no-model`, `a1111-image-to-image` (the text does not say which picture it began from).
    """
    return prompt_of(read_parameters(text), checkpoint=checkpoint)


def prompt_of(parameters: Parameters, *, checkpoint: str | None = None) -> dict[str, JSON]:
    """The API prompt of parameters that have been taken apart; raises what `parameters_to_prompt` does."""
    if "denoising strength" in parameters.settings and not _is_hires(parameters):
        raise DocumentError(
            "These parameters are of an image-to-image run, and they do not name the picture that it began "
            "from; build the workflow with a LoadImage node instead.",
            code="a1111-image-to-image",
        )
    draft = _Draft()
    given = left_out(parameters)
    parameters = replace(
        parameters,
        prompt=_HYPERNET.sub("", parameters.prompt).strip(),
        negative=_HYPERNET.sub("", parameters.negative).strip(),
    )
    models = _loaders(draft, parameters, checkpoint)
    texts = _conditioning(draft, models.clip, *_prompts(parameters))
    width, height = parameters.size("size") or (512, 512)
    sampler, scheduler = sampling(parameters)
    latent = draft.add(
        "KSampler",
        f"Sampler (without {', '.join(given)})" if given else "Sampler",
        model=models.model,
        positive=texts[0],
        negative=texts[1],
        seed=max(parameters.whole("seed", 0), 0),
        cfg=parameters.number("cfg scale", 7.0),
        steps=parameters.whole("steps"),
        sampler_name=sampler,
        scheduler=scheduler,
        latent_image=draft.add("EmptyLatentImage", "Size", width=width, height=height, batch_size=1),
        denoise=1.0,
    )
    if _is_hires(parameters):
        latent = _hires_pass(draft, parameters, latent, models, texts)
    image = draft.add("VAEDecode", "Decode", samples=latent, vae=models.vae)
    draft.add("SaveImage", "Save", images=image, filename_prefix="graphcore")
    return dict(draft.nodes)


def left_out(parameters: Parameters) -> tuple[str, ...]:
    """What the text asks for that the prompt does not do."""
    found = {
        label: None
        for name, value in parameters.settings.items()
        for pattern, label in _LEFT_OUT.items()
        if re.fullmatch(pattern, name) and value.lower() not in ("", "0", "false", "none")
    }
    if _HYPERNET.search(parameters.prompt):
        found["hypernetwork"] = None
    return tuple(found)


@dataclass(slots=True)
class _Draft:
    nodes: dict[str, dict[str, JSON]] = field(default_factory=dict)

    def add(self, class_type: str, title: str, **inputs: JSON) -> JSON:
        """Add a node and return the link to its first output."""
        identity = str(len(self.nodes) + 1)
        self.nodes[identity] = {"class_type": class_type, "inputs": inputs, "_meta": {"title": title}}
        return [identity, 0]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Models:
    """The links of model, CLIP and VAE."""

    model: JSON
    clip: JSON
    vae: JSON


def _output(link: JSON, index: int) -> JSON:
    assert isinstance(link, list)
    return [link[0], index]


def _loaders(draft: _Draft, parameters: Parameters, checkpoint: str | None) -> _Models:
    """The loaders of a model, after LoRAs, clip skip and an own VAE."""
    resources = _resources(parameters)
    named = parameters.settings.get("model") or next(
        (str(entry["modelName"]) for entry in resources if entry.get("type") == "checkpoint"), ""
    )
    file = _file_name(named) if named else checkpoint
    if not file:
        raise DocumentError(
            'The parameters name no model; write one behind the settings, as ", Model: name".',
            code="a1111-no-model",
        )
    model = draft.add("CheckpointLoaderSimple", "Checkpoint", ckpt_name=file)
    clip, vae = _output(model, 1), _output(model, 2)
    for tag in [*_tagged(parameters.prompt).tags, *_further_loras(parameters, resources)]:
        model = draft.add(
            "LoraLoader",
            f"LoRA {tag.name}",
            model=model,
            clip=clip,
            lora_name=_file_name(tag.name),
            strength_model=tag.strength_model,
            strength_clip=tag.strength_clip,
        )
        clip = _output(model, 1)
    skip = parameters.whole("clip skip", 1)
    if skip > 1:
        clip = draft.add("CLIPSetLastLayer", "Clip skip", clip=clip, stop_at_clip_layer=-skip)
    vae_name = parameters.settings.get("vae", "")
    if vae_name.lower() not in ("", "none", "automatic", "default"):
        vae = draft.add("VAELoader", "VAE", vae_name=vae_name)
    return _Models(model=model, clip=clip, vae=vae)


def _file_name(name: str) -> str:
    """A model's file; texts leave out the ending, and some add a hash in brackets."""
    name = re.sub(r"\s*[\[(][0-9a-f]{6,64}[\])]$", "", name.strip())
    return name if name.endswith((".safetensors", ".ckpt", ".pt", ".sft")) else f"{name}.safetensors"


def _resources(parameters: Parameters) -> list[dict[str, JSON]]:
    """The models that Civitai's own list names, as far as it is one."""
    try:
        listed = json.loads(parameters.settings.get("civitai resources", "[]"))
    except (ValueError, RecursionError):
        return []
    entries = listed if isinstance(listed, list) else []
    return [entry for entry in entries[:MAX_RESOURCES] if isinstance(entry, dict) and entry.get("modelName")]


def _further_loras(parameters: Parameters, resources: list[dict[str, JSON]]) -> Iterator[LoraTag]:
    """LoRAs that stand in no tag: of Civitai's list, and of the extension "Additional Networks"."""
    if not _tagged(parameters.prompt).tags:
        for entry in resources:
            weight = entry.get("weight", 1.0)
            if entry.get("type") in ("lora", "lycoris") and isinstance(weight, (int, float)):
                yield LoraTag(
                    name=str(entry["modelName"]), strength_model=float(weight), strength_clip=float(weight)
                )
    for place in range(1, 6):
        name = parameters.settings.get(f"addnet model {place}", "")
        if name.lower() not in ("", "none"):
            on_model = parameters.number(f"addnet weight a {place}", 1.0)
            yield LoraTag(
                name=re.sub(r"\([0-9a-f]+\)$", "", name),
                strength_model=on_model,
                strength_clip=parameters.number(f"addnet weight b {place}", on_model),
            )


def _tagged(prompt: str) -> TaggedText:
    try:
        return split_lora_tags(prompt)
    except InputError as error:
        raise DocumentError(error.message, code="bad-a1111-setting") from error


def _prompts(parameters: Parameters) -> tuple[str, str]:
    """Both texts without LoRA tags, and with textual inversions written as `embedding:name`."""
    prompt = _tagged(parameters.prompt).text
    negative = _tagged(parameters.negative).text
    for entry in parameters.settings.get("ti hashes", "").split(",")[:MAX_INVERSIONS]:
        name = entry.partition(":")[0].strip()
        if name:
            word = re.compile(rf"(?<![\w:.-]){re.escape(name)}(?![\w.-])", re.IGNORECASE)
            replacement = f"embedding:{name}".replace("\\", r"\\")
            prompt, negative = word.sub(replacement, prompt), word.sub(replacement, negative)
    return prompt, negative


def _conditioning(draft: _Draft, clip: JSON, prompt: str, negative: str, of: str = "") -> tuple[JSON, JSON]:
    return (
        draft.add("CLIPTextEncode", f"{of}Prompt", text=prompt, clip=clip),
        draft.add("CLIPTextEncode", f"{of}Negative prompt", text=negative, clip=clip),
    )


def _is_hires(parameters: Parameters) -> bool:
    return "hires upscale" in parameters.settings or "hires resize" in parameters.settings


def _hires_pass(
    draft: _Draft, parameters: Parameters, latent: JSON, models: _Models, texts: tuple[JSON, JSON]
) -> JSON:
    sampler, scheduler = sampling(parameters, "hires ")
    latent = _hires_latent(draft, parameters, latent, models.vae)
    models, texts = _of_hires(draft, parameters, models, texts)
    return draft.add(
        "KSampler",
        "Hires sampler",
        model=models.model,
        positive=texts[0],
        negative=texts[1],
        seed=max(parameters.whole("seed", 0), 0),
        cfg=parameters.number("hires cfg scale", 0.0) or parameters.number("cfg scale", 7.0),
        steps=parameters.whole("hires steps", 0) or parameters.whole("steps"),
        sampler_name=sampler,
        scheduler=scheduler,
        latent_image=latent,
        denoise=parameters.number("denoising strength", 0.7),
    )


def _of_hires(
    draft: _Draft, parameters: Parameters, models: _Models, texts: tuple[JSON, JSON]
) -> tuple[_Models, tuple[JSON, JSON]]:
    """The model and the texts of the hires pass, where it has its own."""
    settings = parameters.settings
    own = {part: settings.get(f"hires {part}", "") for part in ("checkpoint", "prompt", "negative prompt")}
    other_model = own["checkpoint"].lower() not in ("", "use same checkpoint")
    if not any(own.values()):
        return models, texts
    second = replace(
        parameters,
        prompt=own["prompt"] or parameters.prompt,
        negative=own["negative prompt"] or parameters.negative,
        settings={**settings, "model": own["checkpoint"]} if other_model else settings,
    )
    if other_model:
        loaded = _loaders(draft, second, None)
        models = replace(loaded, vae=models.vae)
    return models, _conditioning(draft, models.clip, *_prompts(second), of="Hires: ")


def _hires_latent(draft: _Draft, parameters: Parameters, latent: JSON, vae: JSON) -> JSON:
    width, height = _hires_size(parameters)
    upscaler = parameters.settings.get("hires upscaler", "Latent")
    size: dict[str, JSON] = {"width": width, "height": height, "crop": "disabled"}
    if upscaler.lower() in LATENT_UPSCALERS:
        method = LATENT_UPSCALERS[upscaler.lower()]
        return draft.add("LatentUpscale", "Hires size", samples=latent, upscale_method=method, **size)
    image = draft.add("VAEDecode", "First pass", samples=latent, vae=vae)
    method = PIXEL_UPSCALERS.get(upscaler.lower(), "lanczos")
    if upscaler.lower() not in PIXEL_UPSCALERS:
        loader = draft.add("UpscaleModelLoader", "Upscaler", model_name=f"{upscaler}.pth")
        image = draft.add("ImageUpscaleWithModel", "Upscale", upscale_model=loader, image=image)
    image = draft.add("ImageScale", "Hires size", image=image, upscale_method=method, **size)
    return draft.add("VAEEncode", "Encode", pixels=image, vae=vae)


def _hires_size(parameters: Parameters) -> tuple[int, int]:
    """In pixels, cut to multiples of 8; a side of 0 follows from the other."""
    width, height = parameters.size("size") or (512, 512)
    across, down = parameters.size("hires resize") or (0, 0)
    scale = parameters.number("hires upscale", 2.0)
    if across or down:
        scale = max(across / max(width, 1), down / max(height, 1))
    wide, high = across or int(width * scale), down or int(height * scale)
    return wide // 8 * 8, high // 8 * 8
