"""Nodes for models that take what CLIP sees in a picture beside the text: unCLIP, and SDXL (Revision)."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, NamedTuple

from graphcore import Context, FileChoice, Range, node
from nodes.choices import Share
from nodes.control.steering import ClipVision, ClipVisionOutput, UnclipPicture
from nodes.models.loaders import file_ref
from nodes.values import Clip, Conditioning, Model, Vae


class UnclipCheckpoint(NamedTuple):
    """The four parts of an unCLIP checkpoint."""

    model: Model
    clip: Clip
    vae: Vae
    clip_vision: ClipVision


@node(
    "LoadUnCLIPCheckpoint",
    category="loaders",
    title="Load unCLIP Checkpoint",
    aliases=("unCLIPCheckpointLoader",),
)
def load_unclip_checkpoint(
    ctx: Context, ckpt_name: Annotated[str, FileChoice("checkpoints")]
) -> UnclipCheckpoint:
    """Load a whole unCLIP model: the diffusion network, its text encoder, its VAE and its image encoder."""
    from nodes.diffusion.clip_vision import open_vision
    from nodes.diffusion.store import ModelStore

    file = file_ref(ctx, "checkpoints", ckpt_name)
    ctx.service(ModelStore).opened(file, open_vision)
    return UnclipCheckpoint(Model(file=file), Clip(files=(file,)), Vae(file=file), ClipVision(file=file))


@node("unCLIPConditioning", category="conditioning", title="unCLIP Conditioning")
def unclip_conditioning(
    conditioning: Conditioning,
    clip_vision_output: ClipVisionOutput,
    strength: Annotated[float, Range(-10.0, 10.0, step=0.01)] = 1.0,
    noise_augmentation: Share = 0.0,
) -> Conditioning:
    """Let an unCLIP model, or SDXL, make pictures like those that CLIP saw.

    `noise_augmentation` says how freely: 0 is close to the picture, 1 is far from it. Several may come one after
    another; their pictures are mixed by strength.
    """
    if strength == 0:
        return conditioning
    picture = UnclipPicture(output=clip_vision_output, strength=strength, noise=noise_augmentation)
    entries = []
    for entry in conditioning.entries:
        held = dict(entry.extra)
        before = held.get("unclip", ())
        held["unclip"] = (*(before if isinstance(before, tuple) else ()), picture)
        entries.append(replace(entry, extra=tuple(held.items())))
    return Conditioning(tuple(entries))
