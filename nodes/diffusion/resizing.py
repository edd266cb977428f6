"""Resizing pictures, masks and latents: all of shape (batch, channels, height, width)."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image as Pillow
from torch import Tensor
from torch.nn import functional

from graphcore.errors import InputError

MAX_PIXELS = 2**28
_TORCH_MODES = ("nearest-exact", "bilinear", "area", "bicubic")


def resize(samples: Tensor, width: int, height: int, method: str, *, crop: bool = False) -> Tensor:
    """Resize to `width` x `height`.

    Methods are nearest-exact, bilinear, area, bicubic, lanczos, and bislerp (for latents: along each side,
    vectors are turned into each other instead of mixed). `crop` first cuts the longer side around the centre,
    so that nothing is distorted.
    """
    require_room(samples.shape[0], width, height)
    if crop:
        samples = _to_aspect(samples, width / height)
    if samples.shape[-2:] == (height, width):
        return samples.clone()
    if method == "bislerp":
        return _bislerp(samples, width, height)
    if method == "lanczos":
        return _lanczos(samples, width, height)
    if method not in _TORCH_MODES:
        raise InputError(
            f"There is no way of resizing called '{method}'; use one of {', '.join(_TORCH_MODES)}, lanczos, bislerp.",
            code="not-a-choice",
        )
    return functional.interpolate(samples, size=(height, width), mode=method)


def require_room(count: int, width: int, height: int) -> None:
    """Raise InputError for sizes that are empty, or over the budget of 2^28 pixels (or latent cells)."""
    if width < 1 or height < 1:
        raise InputError(f"A size of {width}x{height} is empty; ask for at least 1x1.", code="bad-size")
    if count * width * height > MAX_PIXELS:
        raise InputError(
            f"{count} times {width}x{height} is over the limit of {MAX_PIXELS} pixels; ask for less.",
            code="over-budget",
        )


def _to_aspect(samples: Tensor, aspect: float) -> Tensor:
    height, width = samples.shape[-2:]
    left = top = 0
    if width / height > aspect:
        left = min(round((width - height * aspect) / 2), (width - 1) // 2)
    elif width / height < aspect:
        top = min(round((height - width / aspect) / 2), (height - 1) // 2)
    return samples[..., top : height - top, left : width - left]


def _lanczos(samples: Tensor, width: int, height: int) -> Tensor:
    planes = samples.detach().cpu().float().flatten(0, 1).numpy()
    resized = [
        np.asarray(Pillow.fromarray(plane).resize((width, height), Pillow.Resampling.LANCZOS))
        for plane in planes
    ]
    stacked = torch.from_numpy(np.stack(resized)).reshape(*samples.shape[:2], height, width)
    return stacked.clamp(0, 1).to(samples)


def _bislerp(samples: Tensor, width: int, height: int) -> Tensor:
    across = _slerp_along(samples.float(), width)
    return _slerp_along(across.transpose(-1, -2), height).transpose(-1, -2).contiguous().to(samples.dtype)


def _slerp_along(samples: Tensor, length: int) -> Tensor:
    """Resize the last dimension, with centres of cells aligned; vectors are those along dimension 1."""
    old = samples.shape[-1]
    place = ((torch.arange(length, device=samples.device) + 0.5) * old / length - 0.5).clamp(0, old - 1)
    low = place.floor().long()
    high = (low + 1).clamp(max=old - 1)
    return slerp(samples[..., low], samples[..., high], place - low)


def slerp(first: Tensor, second: Tensor, share: Tensor) -> Tensor:
    """Spherical interpolation of vectors along dimension 1 (Shoemake 1985); lengths are mixed linearly.

    Parallel vectors give the first, opposite ones are mixed linearly.
    """
    length_one = torch.linalg.vector_norm(first, dim=1, keepdim=True)
    length_two = torch.linalg.vector_norm(second, dim=1, keepdim=True)
    one, two = (first / length_one).nan_to_num(), (second / length_two).nan_to_num()
    dot = (one * two).sum(dim=1, keepdim=True)
    angle = dot.clamp(-1, 1).acos()
    direction = (one * ((1 - share) * angle).sin() + two * (share * angle).sin()) / angle.sin()
    turned = direction * (length_one * (1 - share) + length_two * share)
    mixed = first * (1 - share) + second * share
    return torch.where(dot > 1 - 1e-5, first, torch.where(dot < 1e-5 - 1, mixed, turned))
