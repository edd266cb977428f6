"""Nodes that combine conditionings and say where, when and how strongly they act."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal, NamedTuple

from graphcore import Context, Range, node
from nodes.choices import MAX_SIDE, CellOffset, Share
from nodes.values import Area, Conditioning, Image, Latent, Mask, Vae

CELL = 8
AreaSide = Annotated[int, Range(64, MAX_SIDE, step=8)]
Strength = Annotated[float, Range(0.0, 10.0, step=0.01)]
Moment = Annotated[float, Range(0.0, 1.0, step=0.001)]


class InpaintConditioning(NamedTuple):
    """The conditionings and the latent for an inpainting model."""

    positive: Conditioning
    negative: Conditioning
    latent: Latent


class PairedConditioning(NamedTuple):
    """Both conditionings, changed alike."""

    positive: Conditioning
    negative: Conditioning


@node("ConditioningCombine", category="conditioning", title="Conditioning (Combine)")
def conditioning_combine(conditioning_1: Conditioning, conditioning_2: Conditioning) -> Conditioning:
    """Both conditionings act, each with its own prediction; where they overlap, predictions are averaged."""
    return Conditioning(conditioning_1.entries + conditioning_2.entries)


@node("ConditioningConcat", category="conditioning", title="Conditioning (Concat)")
def conditioning_concat(conditioning_to: Conditioning, conditioning_from: Conditioning) -> Conditioning:
    """Append the second's tokens to the first's, so that the network reads both as one prompt."""
    from nodes.diffusion.embeddings import appended

    return appended(conditioning_to, conditioning_from)


@node("ConditioningAverage", category="conditioning", title="Conditioning (Average)")
def conditioning_average(
    conditioning_to: Conditioning, conditioning_from: Conditioning, conditioning_to_strength: Share = 1.0
) -> Conditioning:
    """Mix the embeddings of two conditionings; a strength of 1 is the first."""
    from nodes.diffusion.embeddings import averaged

    return averaged(conditioning_to, conditioning_from, conditioning_to_strength)


@node("ConditioningSetArea", category="conditioning", title="Conditioning (Set Area)")
def conditioning_set_area(
    conditioning: Conditioning,
    width: AreaSide = 64,
    height: AreaSide = 64,
    x: CellOffset = 0,
    y: CellOffset = 0,
    strength: Strength = 1.0,
) -> Conditioning:
    """Let a conditioning act in a rectangle only, in pixels."""
    area = Area(x=x // CELL, y=y // CELL, width=width // CELL, height=height // CELL)
    return _within(conditioning, area, strength)


@node("ConditioningSetAreaPercentage", category="conditioning", title="Conditioning (Set Area by Share)")
def conditioning_set_area_percentage(
    conditioning: Conditioning,
    width: Share = 1.0,
    height: Share = 1.0,
    x: Share = 0.0,
    y: Share = 0.0,
    strength: Strength = 1.0,
) -> Conditioning:
    """Let a conditioning act in a rectangle only, in shares of the picture's sides."""
    area = Area(x=x, y=y, width=width, height=height, relative=True)
    return _within(conditioning, area, strength)


def _within(conditioning: Conditioning, area: Area, strength: float) -> Conditioning:
    """Each entry in an area, which takes the place of the rectangle around its mask, where it has one."""
    return Conditioning(
        tuple(
            replace(entry, area=area, strength=strength, mask_bounds=False) for entry in conditioning.entries
        )
    )


@node("ConditioningSetAreaStrength", category="conditioning", title="Conditioning (Set Area Strength)")
def conditioning_set_area_strength(conditioning: Conditioning, strength: Strength = 1.0) -> Conditioning:
    """How strongly a conditioning counts beside others."""
    return Conditioning(tuple(replace(entry, strength=strength) for entry in conditioning.entries))


@node("ConditioningSetMask", category="conditioning", title="Conditioning (Set Mask)")
def conditioning_set_mask(
    conditioning: Conditioning,
    mask: Mask,
    strength: Strength = 1.0,
    *,
    set_cond_area: Literal["default", "mask bounds"],
) -> Conditioning:
    """Let a conditioning act where a mask is 1.

    "mask bounds" computes only the rectangle around the mask, "default" the whole picture.
    """
    bounds = set_cond_area != "default"
    return Conditioning(
        tuple(
            replace(entry, mask=mask.values, mask_strength=strength, mask_bounds=bounds)
            for entry in conditioning.entries
        )
    )


@node("ConditioningSetTimestepRange", category="conditioning", title="Conditioning (Set Timestep Range)")
def conditioning_set_timestep_range(
    conditioning: Conditioning, start: Moment = 0.0, end: Moment = 1.0
) -> Conditioning:
    """Let a conditioning act in a part of the sampling only; 0 is its noisy beginning, 1 its end."""
    return Conditioning(tuple(replace(entry, start=start, end=end) for entry in conditioning.entries))


@node("ConditioningZeroOut", category="conditioning", title="Conditioning (Zero Out)")
def conditioning_zero_out(conditioning: Conditioning) -> Conditioning:
    """Set all embeddings to 0, as some models take an empty prompt."""
    from nodes.diffusion.embeddings import zeroed

    return zeroed(conditioning)


@node("InpaintModelConditioning", category="conditioning/inpaint", title="Inpaint Model Conditioning")
def inpaint_model_conditioning(
    ctx: Context,
    *,
    positive: Conditioning,
    negative: Conditioning,
    vae: Vae,
    pixels: Image,
    mask: Mask,
    noise_mask: bool = True,
) -> InpaintConditioning:
    """Show an inpainting model the picture without its masked part.

    With `noise_mask`, sampling changes the masked part only.
    """
    from nodes.diffusion.inpainting import greyed_out
    from nodes.diffusion.store import ModelStore

    with ctx.service(ModelStore).vae(vae) as codec:
        prepared = greyed_out(pixels, mask, multiple=codec.downscale)
        shown, whole = codec.encode(prepared.pixels), codec.encode(prepared.whole)

    def with_picture(conditioning: Conditioning) -> Conditioning:
        return Conditioning(
            tuple(
                replace(entry, concat_latent=shown, concat_mask=prepared.mask)
                for entry in conditioning.entries
            )
        )

    latent = Latent(whole, noise_mask=prepared.mask if noise_mask else None)
    return InpaintConditioning(with_picture(positive), with_picture(negative), latent)


@node(
    "InstructPixToPixConditioning",
    category="conditioning/instructpix2pix",
    title="InstructPix2Pix Conditioning",
)
def instruct_pix_to_pix_conditioning(
    ctx: Context, positive: Conditioning, negative: Conditioning, vae: Vae, pixels: Image
) -> InpaintConditioning:
    """Show a model that changes pictures by instruction (eight input channels) the picture to change.

    The latent is empty and has the picture's size. With DualCFGGuider, the first conditioning is this positive, the
    second this negative, and the negative one without the picture (Brooks et al. 2023, "InstructPix2Pix").
    """
    import torch

    from nodes.diffusion.store import ModelStore

    with ctx.service(ModelStore).vae(vae) as codec:
        shown = codec.encode(pixels.pixels)

    def with_picture(conditioning: Conditioning) -> Conditioning:
        return Conditioning(tuple(replace(entry, concat_latent=shown) for entry in conditioning.entries))

    latent = Latent(torch.zeros_like(shown))
    return InpaintConditioning(with_picture(positive), with_picture(negative), latent)


@node("DepthConditioning", category="conditioning", title="Depth Conditioning")
def depth_conditioning(positive: Conditioning, negative: Conditioning, depth: Image) -> PairedConditioning:
    """Show a depth-to-image model (five input channels, SD 2 depth) a depth map; near is bright.

    Its darkest and brightest values become -1 and 1, so only their order and proportion count.
    """
    values = depth.pixels[..., :3].mean(dim=-1)

    def with_depth(conditioning: Conditioning) -> Conditioning:
        return Conditioning(tuple(replace(entry, concat_mask=values) for entry in conditioning.entries))

    return PairedConditioning(with_depth(positive), with_depth(negative))
