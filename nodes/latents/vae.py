"""Nodes between pictures and latents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from graphcore import Context, Range, node
from nodes.values import Image, Latent, Mask, Vae

if TYPE_CHECKING:
    from nodes.diffusion.vae import Tiling

Overlap = Annotated[int, Range(0, 4096, step=32)]
Frames = Annotated[int, Range(8, 4096, step=4)]
FrameOverlap = Annotated[int, Range(4, 4096, step=4)]


@node("VAEDecode", category="latent", title="VAE Decode")
def vae_decode(ctx: Context, samples: Latent, vae: Vae) -> Image:
    """Turn latents into pictures. Where memory does not suffice, it is done in tiles."""
    return _decoded(ctx, samples, vae, None)


@node("VAEEncode", category="latent", title="VAE Encode")
def vae_encode(ctx: Context, pixels: Image, vae: Vae) -> Latent:
    """Turn pictures into latents. Sides are cut to multiples of the VAE's cell (8 pixels), around the centre."""
    return _encoded(ctx, pixels, vae, None)


@node("VAEDecodeTiled", category="latent", title="VAE Decode (Tiled)")
def vae_decode_tiled(
    ctx: Context,
    samples: Latent,
    vae: Vae,
    tile_size: Annotated[int, Range(64, 4096, step=32)] = 512,
    overlap: Overlap = 64,
    temporal_size: Frames = 64,
    temporal_overlap: FrameOverlap = 8,
) -> Image:
    """Turn latents into pictures tile by tile, which takes less memory; sizes are in pixels.

    The temporal sizes are for video VAEs, and change nothing for pictures.
    """
    del temporal_size, temporal_overlap
    return _decoded(ctx, samples, vae, (tile_size, overlap))


@node("VAEEncodeTiled", category="latent", title="VAE Encode (Tiled)")
def vae_encode_tiled(
    ctx: Context,
    pixels: Image,
    vae: Vae,
    tile_size: Annotated[int, Range(64, 4096, step=64)] = 512,
    overlap: Overlap = 64,
    temporal_size: Frames = 64,
    temporal_overlap: FrameOverlap = 8,
) -> Latent:
    """Turn pictures into latents tile by tile, which takes less memory; sizes are in pixels.

    The temporal sizes are for video VAEs, and change nothing for pictures.
    """
    del temporal_size, temporal_overlap
    return _encoded(ctx, pixels, vae, (tile_size, overlap))


@node("VAEEncodeForInpaint", category="latent/inpaint", title="VAE Encode (for Inpainting)")
def vae_encode_for_inpaint(
    ctx: Context,
    pixels: Image,
    vae: Vae,
    mask: Mask,
    grow_mask_by: Annotated[int, Range(0, 64, step=1)] = 6,
) -> Latent:
    """Turn pictures into latents whose masked part is empty and will be sampled anew; use it with denoise 1.

    The part to change is greyed out before encoding; `grow_mask_by` widens it for sampling by so many pixels.
    """
    from nodes.diffusion.inpainting import greyed_out, grown
    from nodes.diffusion.store import ModelStore

    with ctx.service(ModelStore).vae(vae) as codec:
        prepared = greyed_out(pixels, mask, multiple=codec.downscale)
        samples = codec.encode(prepared.pixels)
    return Latent(samples, noise_mask=grown(prepared.mask, grow_mask_by))


def _decoded(ctx: Context, latent: Latent, vae: Vae, tiles: tuple[int, int] | None) -> Image:
    from nodes.diffusion.latents import require_finite
    from nodes.diffusion.store import ModelStore

    require_finite(latent.samples, "The latent")
    with ctx.service(ModelStore).vae(vae) as codec:
        pixels = codec.decode(latent.samples, tiling=_tiling(tiles, codec.downscale))
    return Image(pixels)


def _encoded(ctx: Context, image: Image, vae: Vae, tiles: tuple[int, int] | None) -> Latent:
    from nodes.diffusion.store import ModelStore

    with ctx.service(ModelStore).vae(vae) as codec:
        return Latent(codec.encode(image.pixels, tiling=_tiling(tiles, codec.downscale)))


def _tiling(tiles: tuple[int, int] | None, downscale: int) -> Tiling | None:
    """Tiles in latent cells; they overlap by a quarter of their size at most."""
    from nodes.diffusion.vae import Tiling

    if tiles is None:
        return None
    size, overlap = tiles
    return Tiling(size=size // downscale, overlap=min(overlap, size // 4) // downscale)
