"""Nodes that turn prompts into conditioning."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

from graphcore import Context, InputError, Range, Text, node
from graphcore.files import Files
from nodes.choices import MAX_SIDE
from nodes.conditioning.embedding_files import embeddings_state, text_embeddings
from nodes.values import Clip, Conditioning, ConditioningEntry, T5Padding

Prompt = Annotated[str, Text(multiline=True, dynamic_prompts=True)]
Side = Annotated[int, Range(0, MAX_SIDE)]


def _sdxl_embeddings(files: Files, text_g: str, text_l: str) -> str:
    return embeddings_state(files, text_g, text_l)


def _sd3_embeddings(files: Files, clip_l: str, clip_g: str) -> str:
    return embeddings_state(files, clip_l, clip_g)


@node(
    "CLIPEncode",
    category="conditioning",
    title="CLIP Text Encode (Prompt)",
    aliases=("CLIPTextEncode",),
    fingerprint=text_embeddings,
)
def clip_encode(ctx: Context, text: Prompt, clip: Clip) -> Conditioning:
    """Turn a prompt into the conditioning that sampling follows.

    `(word:1.2)` weighs words, `(word)` is 1.1, `\\(` is a bracket, `BREAK` begins a new chunk, and
    `embedding:name` is a textual-inversion embedding. Text may be longer than 77 tokens, or empty.
    """
    from nodes.diffusion.store import ModelStore

    with ctx.service(ModelStore).text_encoder(clip) as encoder:
        encoded = encoder.encode(text, layer=clip.stop_at_layer)
    return Conditioning(
        (ConditioningEntry(embeddings=encoded.embeddings, pooled=encoded.pooled, extra=clip.carried),)
    )


@node("CLIPSetLastLayer", category="conditioning", title="CLIP Set Last Layer")
def clip_set_last_layer(clip: Clip, stop_at_clip_layer: Annotated[int, Range(-24, -1, step=1)] = -1) -> Clip:
    """Take the prompt's vectors from an earlier layer of the text encoder ("CLIP skip").

    -1 is the last hidden layer, -2 the one before it.
    """
    return replace(clip, stop_at_layer=stop_at_clip_layer)


@node(
    "CLIPEncodeSDXL",
    category="conditioning",
    title="CLIP Text Encode (SDXL)",
    aliases=("CLIPTextEncodeSDXL",),
    fingerprint=_sdxl_embeddings,
)
def clip_encode_sdxl(
    ctx: Context,
    *,
    clip: Clip,
    width: Side = 1024,
    height: Side = 1024,
    crop_w: Side = 0,
    crop_h: Side = 0,
    target_width: Side = 1024,
    target_height: Side = 1024,
    text_g: Prompt,
    text_l: Prompt,
) -> Conditioning:
    """Encode one prompt for each of SDXL's text encoders, with the sizes that it was trained to take.

    `width` and `height` are the size that the picture pretends to come from, `crop_w` and `crop_h` where it was
    cut, `target_width` and `target_height` the size it has; all in pixels.
    """
    from nodes.diffusion.store import ModelStore

    with ctx.service(ModelStore).text_encoder(clip) as encoder:
        encoded = encoder.encode({"clip_g": text_g, "clip_l": text_l}, layer=clip.stop_at_layer)
    size = (height, width, crop_h, crop_w, target_height, target_width)
    entry = ConditioningEntry(
        embeddings=encoded.embeddings,
        pooled=encoded.pooled,
        size=tuple(float(side) for side in size),
        extra=clip.carried,
    )
    return Conditioning((entry,))


@node(
    "CLIPEncodeSDXLRefiner",
    category="conditioning",
    title="CLIP Text Encode (SDXL Refiner)",
    aliases=("CLIPTextEncodeSDXLRefiner",),
    fingerprint=text_embeddings,
)
def clip_encode_sdxl_refiner(
    ctx: Context,
    *,
    ascore: Annotated[float, Range(0.0, 1000.0, step=0.01)] = 6.0,
    width: Side = 1024,
    height: Side = 1024,
    text: Prompt,
    clip: Clip,
) -> Conditioning:
    """Encode a prompt for the SDXL refiner, with the aesthetic score that it was trained to take."""
    from nodes.diffusion.store import ModelStore

    with ctx.service(ModelStore).text_encoder(clip) as encoder:
        encoded = encoder.encode(text, layer=clip.stop_at_layer)
    size = (float(height), float(width), 0.0, 0.0, ascore)
    entry = ConditioningEntry(
        embeddings=encoded.embeddings, pooled=encoded.pooled, size=size, extra=clip.carried
    )
    return Conditioning((entry,))


@node(
    "CLIPEncodeSD3",
    category="advanced/conditioning",
    title="CLIP Text Encode (SD3)",
    aliases=("CLIPTextEncodeSD3",),
    fingerprint=_sd3_embeddings,
)
def clip_encode_sd3(
    ctx: Context,
    *,
    clip: Clip,
    clip_l: Prompt,
    clip_g: Prompt,
    t5xxl: Prompt,
    empty_padding: Literal["none", "empty_prompt"],
) -> Conditioning:
    """Encode one prompt for each of SD 3's text encoders.

    An empty text is encoded like any other ("empty_prompt"), or gives no tokens at all ("none": T5, or both CLIPs if
    both of their texts are empty). Encoders that the model does not have count as zeros.
    """
    from nodes.diffusion.store import ModelStore

    texts: dict[str, str | None] = {"clip_l": clip_l, "clip_g": clip_g, "t5": t5xxl}
    if empty_padding == "none":
        if not clip_l and not clip_g:
            texts |= {"clip_l": None, "clip_g": None}
        if not t5xxl:
            texts["t5"] = None
    with ctx.service(ModelStore).text_encoder(clip) as encoder:
        if encoder.family.joins != "sd3":
            raise InputError(
                f"These text encoders are those of {encoder.family.title}, and this node is for SD 3's; encode the "
                "prompt with CLIPTextEncode.",
                code="wrong-family",
            )
        encoded = encoder.encode(texts, layer=clip.stop_at_layer)
    return Conditioning(
        (ConditioningEntry(embeddings=encoded.embeddings, pooled=encoded.pooled, extra=clip.carried),)
    )


@node(
    "CLIPEncodeControlNet",
    category="_for_testing/conditioning",
    title="CLIP Text Encode (ControlNet)",
    aliases=("CLIPTextEncodeControlnet",),
    fingerprint=text_embeddings,
    experimental=True,
)
def clip_encode_controlnet(
    ctx: Context, clip: Clip, conditioning: Conditioning, text: Prompt
) -> Conditioning:
    """Give ControlNets a prompt of their own, in the place of the one that the network reads."""
    encoded = clip_encode(ctx, text, clip).entries[0]
    told = {"cross_attn_controlnet": encoded.embeddings, "pooled_output_controlnet": encoded.pooled}
    return Conditioning(
        tuple(
            replace(entry, extra=tuple({**dict(entry.extra), **told}.items()))
            for entry in conditioning.entries
        )
    )


@node(
    "T5TokenizerOptions",
    category="_for_testing/conditioning",
    title="T5 Tokenizer Options",
    experimental=True,
)
def t5_tokenizer_options(
    clip: Clip,
    min_padding: Annotated[int, Range(0, 10000, step=1)] = 0,
    min_length: Annotated[int, Range(0, 10000, step=1)] = 0,
) -> Clip:
    """Fill texts for T5 up by `min_padding` tokens, and to `min_length` in all; without this node to 77.

    Diffusers' pipeline for SD 3 fills up to 256.
    """
    return replace(clip, t5_padding=T5Padding(more=min_padding, least=min_length))
