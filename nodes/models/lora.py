"""Nodes that add adapters (LoRA, LoHa, LoKr, DoRA) to models. A patched model is a new value; no weight changes."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, NamedTuple

from graphcore import Context, FileChoice, GraphcoreError, InputError, Range, Text, node
from graphcore.files import Files
from nodes.models.loaders import file_ref
from nodes.values import Clip, LoraPatch, Model

LoraName = Annotated[str, FileChoice("loras")]
Strength = Annotated[float, Range(-100.0, 100.0, step=0.01)]


class Patched(NamedTuple):
    """A model and its text encoder with adapters."""

    model: Model
    clip: Clip


class PatchedWithText(NamedTuple):
    """A model and its text encoder with the adapters that a text named, and the text without them."""

    model: Model
    clip: Clip
    text: str


@node("LoRA", category="loaders", aliases=("LoraLoader",), title="Load LoRA")
def lora(
    ctx: Context,
    model: Model,
    clip: Clip,
    lora_name: LoraName,
    strength_model: Strength = 1.0,
    strength_clip: Strength = 1.0,
) -> Patched:
    """Add an adapter to a model and its text encoder: LoRA, LoCon, LoHa, LoKr, DoRA or full differences.

    Several may follow each other; they are applied in order. A strength of 0 adds nothing. An adapter that fits neither
    is refused; one that fits in part says what was left out.
    """
    return _added(ctx, model, clip, lora_name, strength_model, strength_clip)


@node("LoRAModelOnly", category="loaders", aliases=("LoraLoaderModelOnly",), title="Load LoRA (Model Only)")
def lora_model_only(ctx: Context, model: Model, lora_name: LoraName, strength_model: Strength = 1.0) -> Model:
    """Add an adapter to a model, and leave its text encoder as it is."""
    from nodes.diffusion.lora_fit import require_fit

    if strength_model == 0:
        return model
    file = file_ref(ctx, "loras", lora_name)
    require_fit(ctx, file, model, None)
    return replace(model, patches=(*model.patches, LoraPatch(file=file, strength=strength_model)))


def _tagged_files(files: Files, text: str) -> str:
    from graphcore.formats.lora_tags import split_lora_tags

    try:
        names = sorted({_file_name(files, tag.name) for tag in split_lora_tags(text).tags})
        return "\n".join(f"{name} {files.fingerprint(files.resolve('loras', name))}" for name in names)
    except GraphcoreError:
        return ""


@node(
    "LoRAFromText",
    category="loaders",
    title="Load LoRAs named in a Text",
    fingerprint=_tagged_files,
)
def lora_from_text(
    ctx: Context, model: Model, clip: Clip, text: Annotated[str, Text(multiline=True)]
) -> PatchedWithText:
    """Add the adapters that a text names as `<lora:name:0.8>`, and give the text without these tags.

    In `<lora:name:0.8:0.5>` the first strength is the text encoder's, the second the model's; without a number both
    are 1.
    """
    from graphcore.formats.lora_tags import split_lora_tags

    split = split_lora_tags(text)
    for tag in split.tags:
        name = _file_name(ctx.files, tag.name)
        model, clip = _added(ctx, model, clip, name, tag.strength_model, tag.strength_clip)
    return PatchedWithText(model, clip, split.text)


def _file_name(files: Files, name: str) -> str:
    for candidate in (name, f"{name}.safetensors"):
        if files.find("loras", candidate) is not None:
            return candidate
    deeper = [known for known in files.names("loras") if known.endswith(f"/{name}.safetensors")]
    if len(deeper) == 1:
        return deeper[0]
    raise InputError(
        f"The text names the LoRA '{name[:80]}', which is not in the loras folders; add it or correct its name.",
        code="file-not-found",
    )


def _added(
    ctx: Context, model: Model, clip: Clip, name: str, strength_model: float, strength_clip: float
) -> Patched:
    from nodes.diffusion.lora_fit import require_fit

    if strength_model == 0 and strength_clip == 0:
        return Patched(model, clip)
    file = file_ref(ctx, "loras", name)
    require_fit(ctx, file, model, clip)
    if strength_model != 0:
        model = replace(model, patches=(*model.patches, LoraPatch(file=file, strength=strength_model)))
    if strength_clip != 0:
        clip = replace(clip, patches=(*clip.patches, LoraPatch(file=file, strength=strength_clip)))
    return Patched(model, clip)
