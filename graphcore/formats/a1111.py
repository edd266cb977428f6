"""A1111's `parameters` text as an API prompt.

LoRA tags in the prompt become LoraLoader nodes, "Clip skip", "VAE" and the hires pass nodes of their own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from graphcore.errors import DocumentError, InputError
from graphcore.formats.a1111_text import Parameters, read_parameters
from graphcore.formats.lora_tags import TaggedText, split_lora_tags
from graphcore.jsontext import JSON

MAX_INVERSIONS = 64

SAMPLERS: Mapping[str, tuple[str, str]] = {
    "euler a": ("euler_ancestral", "normal"),
    "euler": ("euler", "normal"),
    "lms": ("lms", "normal"),
    "heun": ("heun", "normal"),
    "dpm2": ("dpm_2", "karras"),
    "dpm2 a": ("dpm_2_ancestral", "karras"),
    "dpm++ 2s a": ("dpmpp_2s_ancestral", "karras"),
    "dpm++ 2m": ("dpmpp_2m", "karras"),
    "dpm++ sde": ("dpmpp_sde", "karras"),
    "dpm++ 2m sde": ("dpmpp_2m_sde", "exponential"),
    "dpm++ 2m sde heun": ("dpmpp_2m_sde_heun", "exponential"),
    "dpm++ 3m sde": ("dpmpp_3m_sde", "exponential"),
    "dpm fast": ("dpm_fast", "normal"),
    "dpm adaptive": ("dpm_adaptive", "normal"),
    "ddim": ("ddim", "ddim_uniform"),
    "unipc": ("uni_pc", "normal"),
    "lcm": ("lcm", "sgm_uniform"),
}
"""A1111's sampler names, each with our sampler and the schedule that "Automatic" means for it."""

SCHEDULES: Mapping[str, str] = {
    "uniform": "normal",
    "normal": "normal",
    "karras": "karras",
    "exponential": "exponential",
    "polyexponential": "exponential",
    "sgm uniform": "sgm_uniform",
    "simple": "simple",
    "ddim": "ddim_uniform",
    "beta": "beta",
    "kl optimal": "kl_optimal",
}
FIXED_SCHEDULES = ("ddim", "lcm")
LATENT_UPSCALERS: Mapping[str, str] = {
    "latent": "bilinear",
    "latent (antialiased)": "bilinear",
    "latent (bicubic)": "bicubic",
    "latent (bicubic antialiased)": "bicubic",
    "latent (nearest)": "nearest-exact",
    "latent (nearest-exact)": "nearest-exact",
}
PIXEL_UPSCALERS: Mapping[str, str] = {"none": "bilinear", "lanczos": "lanczos", "nearest": "nearest-exact"}


def parameters_to_prompt(text: str, *, checkpoint: str | None = None) -> dict[str, JSON]:
    """The API prompt that these parameters describe.

    `checkpoint` is the file to load when the text names no model (else that name with .safetensors).
    Raises DocumentError: `not-a1111-parameters`, `bad-a1111-setting`, `unknown-a1111-name`,
    `a1111-no-model`, `a1111-image-to-image` (the text does not say which picture it began from).
    """
    parameters = read_parameters(text)
    if "denoising strength" in parameters.settings and not _is_hires(parameters):
        raise DocumentError(
            "These parameters are of an image-to-image run, and they do not name the picture that it began "
            "from; build the workflow with a LoadImage node instead.",
            code="a1111-image-to-image",
        )
    draft = _Draft()
    model, clip, vae = _loaders(draft, parameters, checkpoint)
    prompt, negative = _prompts(parameters)
    positive_link = draft.add("CLIPTextEncode", "Prompt", text=prompt, clip=clip)
    negative_link = draft.add("CLIPTextEncode", "Negative prompt", text=negative, clip=clip)
    width, height = parameters.size("size") or (512, 512)
    pass_inputs: dict[str, JSON] = {
        "model": model,
        "positive": positive_link,
        "negative": negative_link,
        "seed": max(parameters.whole("seed", 0), 0),
        "cfg": parameters.number("cfg scale", 7.0),
    }
    sampler, scheduler = _sampling(parameters)
    latent = draft.add(
        "KSampler",
        "Sampler",
        **pass_inputs,
        steps=parameters.whole("steps"),
        sampler_name=sampler,
        scheduler=scheduler,
        latent_image=draft.add(
            "EmptyLatentImage",
            "Size",
            width=width,
            height=height,
            batch_size=1,
        ),
        denoise=1.0,
    )
    if _is_hires(parameters):
        latent = _hires_pass(draft, parameters, latent, vae, pass_inputs)
    image = draft.add("VAEDecode", "Decode", samples=latent, vae=vae)
    draft.add("SaveImage", "Save", images=image, filename_prefix="graphcore")
    return dict(draft.nodes)


@dataclass(slots=True)
class _Draft:
    nodes: dict[str, dict[str, JSON]] = field(default_factory=dict)

    def add(self, class_type: str, title: str, **inputs: JSON) -> JSON:
        """Add a node and return the link to its first output."""
        identity = str(len(self.nodes) + 1)
        self.nodes[identity] = {"class_type": class_type, "inputs": inputs, "_meta": {"title": title}}
        return [identity, 0]


def _output(link: JSON, index: int) -> JSON:
    assert isinstance(link, list)
    return [link[0], index]


def _loaders(draft: _Draft, parameters: Parameters, checkpoint: str | None) -> tuple[JSON, JSON, JSON]:
    """The links of model, CLIP and VAE, after LoRAs, clip skip and an own VAE."""
    named = parameters.settings.get("model")
    file = f"{named}.safetensors" if named else checkpoint
    if not file:
        raise DocumentError(
            "The parameters name no model; say which checkpoint file to load.", code="a1111-no-model"
        )
    model = draft.add("CheckpointLoaderSimple", "Checkpoint", ckpt_name=file)
    clip, vae = _output(model, 1), _output(model, 2)
    for tag in _tagged(parameters.prompt).tags:
        model = draft.add(
            "LoraLoader",
            f"LoRA {tag.name}",
            model=model,
            clip=clip,
            lora_name=f"{tag.name}.safetensors",
            strength_model=tag.strength_model,
            strength_clip=tag.strength_clip,
        )
        clip = _output(model, 1)
    skip = parameters.whole("clip skip", 1)
    if skip > 1:
        clip = draft.add("CLIPSetLastLayer", "Clip skip", clip=clip, stop_at_clip_layer=-skip)
    vae_name = parameters.settings.get("vae", "")
    if vae_name.lower() not in ("", "none", "automatic"):
        vae = draft.add("VAELoader", "VAE", vae_name=vae_name)
    return model, clip, vae


def _tagged(prompt: str) -> TaggedText:
    try:
        return split_lora_tags(prompt)
    except InputError as error:
        raise DocumentError(error.message, code="bad-a1111-setting") from error


def _prompts(parameters: Parameters) -> tuple[str, str]:
    """Both texts without LoRA tags, and with textual inversions written as `embedding:name`."""
    prompt = _tagged(parameters.prompt).text
    negative = parameters.negative
    for entry in parameters.settings.get("ti hashes", "").split(",")[:MAX_INVERSIONS]:
        name = entry.partition(":")[0].strip()
        if name:
            word = re.compile(rf"(?<![\w:.-]){re.escape(name)}(?![\w.-])", re.IGNORECASE)
            replacement = f"embedding:{name}".replace("\\", r"\\")
            prompt, negative = word.sub(replacement, prompt), word.sub(replacement, negative)
    return prompt, negative


def _sampling(parameters: Parameters, prefix: str = "") -> tuple[str, str]:
    """Sampler and schedule; old texts end the sampler's name with the schedule's."""
    given = parameters.settings.get(f"{prefix}sampler") or parameters.settings.get("sampler", "Euler a")
    name = given.lower()
    schedule = parameters.settings.get(f"{prefix}schedule type") or parameters.settings.get("schedule type")
    for suffix in ("karras", "exponential", "polyexponential"):
        if name.endswith(f" {suffix}"):
            name, schedule = name.removesuffix(f" {suffix}"), suffix
    if name not in SAMPLERS:
        raise _unknown("sampler", given)
    sampler, automatic = SAMPLERS[name]
    if schedule is None:
        return sampler, automatic if name in FIXED_SCHEDULES else "normal"
    if schedule.lower() == "automatic":
        return sampler, automatic
    if schedule.lower() not in SCHEDULES:
        raise _unknown("schedule", schedule)
    return sampler, SCHEDULES[schedule.lower()]


def _is_hires(parameters: Parameters) -> bool:
    return "hires upscale" in parameters.settings or "hires resize" in parameters.settings


def _hires_pass(
    draft: _Draft, parameters: Parameters, latent: JSON, vae: JSON, pass_inputs: Mapping[str, JSON]
) -> JSON:
    width, height = _hires_size(parameters)
    upscaler = parameters.settings.get("hires upscaler", "Latent")
    size: dict[str, JSON] = {"width": width, "height": height, "crop": "disabled"}
    if upscaler.lower() in LATENT_UPSCALERS:
        method = LATENT_UPSCALERS[upscaler.lower()]
        latent = draft.add("LatentUpscale", "Hires size", samples=latent, upscale_method=method, **size)
    else:
        image = draft.add("VAEDecode", "First pass", samples=latent, vae=vae)
        method = PIXEL_UPSCALERS.get(upscaler.lower(), "lanczos")
        if upscaler.lower() not in PIXEL_UPSCALERS:
            loader = draft.add("UpscaleModelLoader", "Upscaler", model_name=f"{upscaler}.pth")
            image = draft.add("ImageUpscaleWithModel", "Upscale", upscale_model=loader, image=image)
        image = draft.add("ImageScale", "Hires size", image=image, upscale_method=method, **size)
        latent = draft.add("VAEEncode", "Encode", pixels=image, vae=vae)
    sampler, scheduler = _sampling(parameters, "hires ")
    steps = parameters.whole("hires steps", 0) or parameters.whole("steps")
    return draft.add(
        "KSampler",
        "Hires sampler",
        **pass_inputs,
        steps=steps,
        sampler_name=sampler,
        scheduler=scheduler,
        latent_image=latent,
        denoise=parameters.number("denoising strength", 0.7),
    )


def _hires_size(parameters: Parameters) -> tuple[int, int]:
    resize = parameters.size("hires resize")
    if resize and resize[0] and resize[1]:
        return resize
    width, height = parameters.size("size") or (512, 512)
    scale = parameters.number("hires upscale", 2.0)
    return int(width * scale) // 8 * 8, int(height * scale) // 8 * 8


def _unknown(kind: str, name: str) -> DocumentError:
    known = ", ".join(SAMPLERS if kind == "sampler" else SCHEDULES)
    return DocumentError(
        f"The {kind} {name!r} has no counterpart here; known are: {known}.", code="unknown-a1111-name"
    )
