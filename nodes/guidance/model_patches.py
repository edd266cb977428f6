"""Nodes that change what happens inside a UNet while it computes. No weights change."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

from graphcore import Context, FileChoice, Range, node
from nodes.guidance.model_sampling import with_option
from nodes.guidance.network_options import (
    DownscaleOption,
    FreeUOption,
    Hypernetwork,
    HypernetworksOption,
    HyperTileOption,
    MergedTokensOption,
)
from nodes.models.loaders import file_ref
from nodes.models.merges import AttentionScale
from nodes.values import Clip, Model, ModelOption

Factor = Annotated[float, Range(0.0, 10.0, step=0.01)]
Percent = Annotated[float, Range(0.0, 1.0, step=0.001)]
Method = Literal["bicubic", "nearest-exact", "bilinear", "area", "bislerp"]


@node("FreeU", category="model_patches/unet", title="FreeU")
def free_u(
    ctx: Context, model: Model, b1: Factor = 1.1, b2: Factor = 1.2, s1: Factor = 0.9, s2: Factor = 0.2
) -> Model:
    """Strengthen what a UNet makes of its inside (b) and weaken the coarse part of what skips it (s).

    See Si et al. 2023, "FreeU". The first numbers are for the innermost level, the second for the next.
    """
    return _changed(ctx, model, FreeUOption(b1=b1, b2=b2, s1=s1, s2=s2))


@node("FreeU_V2", category="model_patches/unet", title="FreeU V2")
def free_u_v2(
    ctx: Context, model: Model, b1: Factor = 1.3, b2: Factor = 1.4, s1: Factor = 0.9, s2: Factor = 0.2
) -> Model:
    """FreeU that strengthens bright places of the inside more than dark ones."""
    return _changed(ctx, model, FreeUOption(b1=b1, b2=b2, s1=s1, s2=s2, structured=True))


@node("PatchModelAddDownscale", category="model_patches/unet", title="Kohya Deep Shrink")
def deep_shrink(
    ctx: Context,
    model: Model,
    block_number: Annotated[int, Range(1, 32, step=1)] = 3,
    downscale_factor: Annotated[float, Range(0.1, 9.0, step=0.001)] = 2.0,
    start_percent: Percent = 0.0,
    end_percent: Percent = 0.35,
    downscale_after_skip: bool = True,
    *,
    downscale_method: Method,
    upscale_method: Method,
) -> Model:
    """Compute the inside of a UNet smaller while shapes are decided, so that large pictures do not repeat themselves.

    `block_number` counts input blocks as single files do.
    """
    option = DownscaleOption(
        block=block_number,
        factor=downscale_factor,
        start=start_percent,
        end=end_percent,
        after_skip=downscale_after_skip,
        down_method=downscale_method,
        up_method=upscale_method,
    )
    return _changed(ctx, model, option)


@node("HyperTile", category="model_patches/unet", title="HyperTile")
def hyper_tile(
    ctx: Context,
    model: Model,
    tile_size: Annotated[int, Range(1, 2048)] = 256,
    swap_size: Annotated[int, Range(1, 128)] = 2,
    max_depth: Annotated[int, Range(0, 10)] = 0,
    scale_depth: bool = False,
) -> Model:
    """Compute self-attention within tiles, which is faster for large pictures."""
    option = HyperTileOption(
        tile_size=tile_size, swap_size=swap_size, max_depth=max_depth, scale_depth=scale_depth
    )
    return _changed(ctx, model, option)


@node("TomePatchModel", category="model_patches/unet", title="Token Merging")
def token_merging(
    ctx: Context, model: Model, ratio: Annotated[float, Range(0.0, 1.0, step=0.01)] = 0.3
) -> Model:
    """Merge tokens that are alike before self-attention, which is faster (Bolya & Hoffman 2023)."""
    return _changed(ctx, model, MergedTokensOption(ratio=ratio))


@node("LoadHypernetwork", category="loaders", title="Load Hypernetwork", aliases=("HypernetworkLoader",))
def load_hypernetwork(
    ctx: Context,
    model: Model,
    hypernetwork_name: Annotated[str, FileChoice("hypernetworks")],
    strength: Annotated[float, Range(-10.0, 10.0, step=0.01)] = 1.0,
) -> Model:
    """Add a hypernetwork to a model; several may follow each other.

    Pickled ones are refused; `graphcore convert-checkpoint old.pt new.safetensors` makes them safe.
    """
    from nodes.diffusion.hypernetwork_fit import require_hypernetwork_fits

    if strength == 0:
        return model
    file = file_ref(ctx, "hypernetworks", hypernetwork_name)
    require_hypernetwork_fits(ctx, file, model)
    before = next((option for option in model.options if isinstance(option, HypernetworksOption)), None)
    networks = before.networks if before is not None else ()
    added = Hypernetwork(file=file, strength=strength)
    return _changed(ctx, model, HypernetworksOption(networks=(*networks, added)))


@node(
    "UNetSelfAttentionMultiply",
    category="model_patches/attention",
    title="UNet Self-Attention Multiply",
    experimental=True,
)
def unet_self_attention_multiply(
    ctx: Context, model: Model, q: Factor = 1.0, k: Factor = 1.0, v: Factor = 1.0, out: Factor = 1.0
) -> Model:
    """Multiply the projections of a UNet's self-attention; 1 changes nothing."""
    return _scaled(ctx, model, AttentionScale(layer="attn1", q=q, k=k, v=v, out=out))


@node(
    "UNetCrossAttentionMultiply",
    category="model_patches/attention",
    title="UNet Cross-Attention Multiply",
    experimental=True,
)
def unet_cross_attention_multiply(
    ctx: Context, model: Model, q: Factor = 1.0, k: Factor = 1.0, v: Factor = 1.0, out: Factor = 1.0
) -> Model:
    """Multiply the projections of a UNet's attention to the text; 1 changes nothing."""
    return _scaled(ctx, model, AttentionScale(layer="attn2", q=q, k=k, v=v, out=out))


@node(
    "UNetTemporalAttentionMultiply",
    category="model_patches/attention",
    title="UNet Temporal Attention Multiply",
    experimental=True,
)
def unet_temporal_attention_multiply(
    ctx: Context,
    model: Model,
    self_structural: Factor = 1.0,
    self_temporal: Factor = 1.0,
    cross_structural: Factor = 1.0,
    cross_temporal: Factor = 1.0,
) -> Model:
    """Multiply what attention gives in a video model, within each frame (structural) and over frames (temporal).

    1 changes nothing; models of pictures have no temporal attention.
    """
    from nodes.diffusion.hypernetwork_fit import require_unet

    require_unet(ctx, model, video=True)
    scales = (
        AttentionScale(layer="attn1", blocks="transformer_blocks", out=self_structural),
        AttentionScale(layer="attn1", blocks="temporal_transformer_blocks", out=self_temporal),
        AttentionScale(layer="attn2", blocks="transformer_blocks", out=cross_structural),
        AttentionScale(layer="attn2", blocks="temporal_transformer_blocks", out=cross_temporal),
    )
    patches = tuple(scale for scale in scales if scale.out != 1)
    return replace(model, patches=(*model.patches, *patches))


@node(
    "CLIPAttentionMultiply",
    category="model_patches/attention",
    title="CLIP Attention Multiply",
    experimental=True,
)
def clip_attention_multiply(
    clip: Clip, q: Factor = 1.0, k: Factor = 1.0, v: Factor = 1.0, out: Factor = 1.0
) -> Clip:
    """Multiply the projections of a text encoder's attention; 1 changes nothing."""
    patch = AttentionScale(layer="self_attn", q=q, k=k, v=v, out=out)
    return replace(clip, patches=(*clip.patches, patch))


def _scaled(ctx: Context, model: Model, patch: AttentionScale) -> Model:
    from nodes.diffusion.hypernetwork_fit import require_unet

    require_unet(ctx, model)
    return replace(model, patches=(*model.patches, patch))


def _changed(ctx: Context, model: Model, option: ModelOption) -> Model:
    """The model with an option, if it is a UNet; raises InputError if not."""
    from nodes.diffusion.hypernetwork_fit import require_unet

    require_unet(ctx, model)
    return with_option(model, option)
