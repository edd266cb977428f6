"""Nodes that look at pictures with CLIP."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

from graphcore import Context, FileChoice, Text, node
from nodes.conditioning.embedding_files import text_embeddings
from nodes.control.steering import ClipVision, ClipVisionOutput
from nodes.models.loaders import file_ref
from nodes.values import Clip, Image


class ClipScore(NamedTuple):
    """How well a text describes pictures: the average, and each picture's."""

    score: float
    scores: str


@node("LoadCLIPVision", category="loaders", title="Load CLIP Vision", aliases=("CLIPVisionLoader",))
def load_clip_vision(ctx: Context, clip_name: Annotated[str, FileChoice("clip_vision")]) -> ClipVision:
    """Load a CLIP image encoder (L, H, bigG ...), in transformers' or OpenCLIP's layout."""
    from nodes.diffusion.clip_vision import open_vision
    from nodes.diffusion.store import ModelStore

    file = file_ref(ctx, "clip_vision", clip_name)
    ctx.service(ModelStore).opened(file, open_vision)
    return ClipVision(file=file)


@node("CLIPVisionEncode", category="conditioning", title="CLIP Vision Encode")
def clip_vision_encode(
    ctx: Context, *, clip_vision: ClipVision, image: Image, crop: Literal["center", "none"]
) -> ClipVisionOutput:
    """What CLIP sees in pictures, for style models, unCLIP, IP-Adapters and scores.

    CLIP sees a square: with `center` the middle of the picture, with `none` all of it, squeezed.
    """
    from nodes.diffusion.clip_vision import vision_encoder
    from nodes.diffusion.store import ModelStore

    with vision_encoder(ctx.service(ModelStore), clip_vision) as encoder:
        return encoder.encode(image.pixels, crop=crop == "center")


@node("CLIPScore", category="image/analysis", title="CLIP Score", fingerprint=text_embeddings)
def clip_score(
    ctx: Context,
    clip_vision: ClipVision,
    image: Image,
    text: Annotated[str, Text(multiline=True)],
    clip: Clip | None = None,
) -> ClipScore:
    """How well a text describes pictures, as CLIP sees both: 100 times the cosine (Hessel et al. 2021).

    Without `clip`, the file of `clip_vision` has to hold the whole of CLIP; else `clip` is the text encoder that the
    image encoder was trained with. `scores` lists each picture's.
    """
    from nodes.diffusion.clip_score import similarities
    from nodes.diffusion.store import ModelStore

    found = [
        100 * each for each in similarities(ctx.service(ModelStore), clip_vision, clip, image.pixels, text)
    ]
    scores = ", ".join(f"{each:.2f}" for each in found)
    ctx.show("text", {"text": f"CLIP score: {scores}"})
    return ClipScore(sum(found) / len(found), scores)
