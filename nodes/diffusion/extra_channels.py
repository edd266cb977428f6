"""What networks with more input channels than latents have see beside the latent.

One channel more: a depth map (SD 2 depth). As many more as latents have: the picture to change (InstructPix2Pix). One
more than that: a mask, and the picture without the masked part (inpainting).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from graphcore.errors import InputError
from nodes.diffusion.network import LatentFormat, LatentScene
from nodes.values import ConditioningEntry

GREY_LATENT = (0.8223, -0.6876, 0.6364, 0.1380)
"""Mid-grey in the scaled latents of SD's VAE: what an inpainting network sees where all is masked."""


def extra_channels(
    entry: ConditioningEntry,
    scene: LatentScene,
    count: int,
    latent_format: LatentFormat,
    *,
    scaled_picture: bool,
) -> Tensor:
    """The further input channels (1 or batch, count, height, width) of an entry, at the latent's size.

    `scaled_picture`: the picture to change is scaled as latents are (CosXL; Brooks et al. 2023 leave it unscaled).
    Raises InputError for a count that no node can give, or a depth map that is missing.
    """
    channels = latent_format.channels
    if count == 1:
        return _depth(entry, scene)
    if count == channels:
        return _picture(entry, scene, latent_format if scaled_picture else None)
    if count == channels + 1:
        return _masked_picture(entry, scene, latent_format)
    raise InputError(
        f"This model takes {count} extra input channels, which no node can give it; use another."
    )


def _depth(entry: ConditioningEntry, scene: LatentScene) -> Tensor:
    """The depth map, each sample stretched to [-1, 1]."""
    if entry.concat_mask is None:
        raise InputError(
            "This model takes a depth map beside the text; give it one with the node DepthConditioning.",
            code="missing-conditioning",
        )
    depth = entry.concat_mask.reshape(-1, 1, *entry.concat_mask.shape[-2:]).to(scene.latent)
    depth = functional.interpolate(depth, scene.latent.shape[-2:], mode="bicubic", align_corners=False)
    low, high = depth.amin(dim=(1, 2, 3), keepdim=True), depth.amax(dim=(1, 2, 3), keepdim=True)
    return 2 * (depth - low) / (high - low).clamp_min(torch.finfo(depth.dtype).eps) - 1


def _picture(entry: ConditioningEntry, scene: LatentScene, latent_format: LatentFormat | None) -> Tensor:
    given = entry.concat_latent
    if given is None:
        return torch.zeros_like(scene.latent)
    return _like(given if latent_format is None else latent_format.scaled(given), scene)


def _masked_picture(entry: ConditioningEntry, scene: LatentScene, latent_format: LatentFormat) -> Tensor:
    given, mask, channels = entry.concat_latent, entry.concat_mask, latent_format.channels
    picture = scene.latent if given is None else latent_format.scaled(given)
    mask = scene.noise_mask if mask is None else mask
    if mask is None:
        grey = torch.tensor(GREY_LATENT if channels == 4 else (0.0,) * channels).view(1, channels, 1, 1)
        blank = grey.to(scene.latent).expand_as(scene.latent)
        return torch.cat([torch.ones_like(blank[:, :1]), blank], dim=1)
    mask = mask.reshape(-1, 1, *mask.shape[-2:]).to(scene.latent)
    mask = functional.interpolate(mask, scene.latent.shape[-2:], mode="bilinear").round()
    picture = _like(picture, scene)
    rows = max(picture.shape[0], mask.shape[0])
    return torch.cat([_repeated(mask, rows), _repeated(picture, rows)], dim=1)


def _like(picture: Tensor, scene: LatentScene) -> Tensor:
    picture = picture.to(scene.latent)
    if picture.shape[1] != scene.latent.shape[1]:
        raise InputError(
            f"The picture beside the text has latents of {picture.shape[1]} channels, and this model's have "
            f"{scene.latent.shape[1]}; encode it with the VAE of this model.",
            code="mismatched-latents",
        )
    if picture.shape[-2:] != scene.latent.shape[-2:]:
        picture = functional.interpolate(picture, scene.latent.shape[-2:], mode="bilinear")
    return picture


def _repeated(tensor: Tensor, rows: int) -> Tensor:
    return tensor.repeat(-(-rows // tensor.shape[0]), 1, 1, 1)[:rows]
