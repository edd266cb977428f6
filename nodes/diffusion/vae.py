"""Pictures to latents and back, whole or in tiles.

Latents are the autoencoder's own, before the scaling that networks want. Each picture is computed by itself, so
that a result does not depend on its neighbours in a batch and memory does not grow with the batch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from graphcore.errors import InputError, ResourceError
from nodes.diffusion.precision import Precision

MIN_TILE = 16
LAYERS_AT_ONCE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Tiling:
    """Tiles of `size` latent cells that overlap by `overlap` cells."""

    size: int = 64
    overlap: int = 16


class VaeCodec:
    """An autoencoder (diffusers' AutoencoderKL) ready to compute.

    `memory` limits the bytes that it may compute in: larger pictures are done in tiles.
    """

    def __init__(self, module: Any, precision: Precision, memory: int | None = None) -> None:
        self.memory = memory
        self.module = module
        self.precision = precision
        self.device: torch.device = module.device
        self.channels = int(module.config.latent_channels)
        self.downscale = 2 ** (len(module.config.block_out_channels) - 1)

    def decode(self, latents: Tensor, *, tiling: Tiling | None = None) -> Tensor:
        """Pictures (batch, height, width, 3) in [0, 1], float32 on the CPU, of latents (batch, channels, h, w).

        Without `tiling`, whole pictures are tried first, and tiles where memory does not suffice. Raises InputError
        if the latents have another number of channels, ResourceError if even small tiles do not fit.
        """
        if latents.ndim != 4 or latents.shape[1] != self.channels or not latents.numel():
            raise InputError(
                f"This VAE decodes latents of {self.channels} channels, but these have the shape "
                f"{list(latents.shape)}; use the VAE of the model that made them."
            )
        pictures = [
            self._fitting(self._decode, sample[None], tiling, in_scale=1, out_scale=self.downscale)
            for sample in latents
        ]
        return torch.cat(pictures).movedim(1, -1).add(1).div(2).clamp(0, 1).contiguous()

    def encode(self, pixels: Tensor, *, tiling: Tiling | None = None) -> Tensor:
        """Latents (batch, channels, height / 8, width / 8), float32 on the CPU, of pictures (batch, height, width, 3).

        The mean of the distribution is taken. Sides are cut to a multiple of the downscale, around the centre.
        Raises InputError if a picture is smaller than one latent cell, or is no picture. An alpha channel is left out.
        """
        if pixels.ndim != 4 or pixels.shape[-1] < 3 or not len(pixels):
            raise InputError(
                f"A picture has the shape (batch, height, width, 3), and this one {tuple(pixels.shape)}.",
                code="picture-shape",
            )
        cut = cropped(pixels[..., :3], self.downscale).movedim(-1, 1) * 2 - 1
        latents = [
            self._fitting(self._encode, picture[None], tiling, in_scale=self.downscale, out_scale=1)
            for picture in cut
        ]
        return torch.cat(latents)

    def _too_large(self, pixels: int) -> bool:
        """Whether so many pixels need more than there is: a few layers of full size and full width at once."""
        if self.memory is None:
            return False
        width = max(self.module.config.block_out_channels[:2])
        needed: int = pixels * width * LAYERS_AT_ONCE * self.precision.dtype.itemsize
        return needed > self.memory

    @torch.inference_mode()
    def _decode(self, latents: Tensor) -> Tensor:
        decoded: Tensor = self.module.decode(self._ready(latents)).sample
        return decoded.float().cpu()

    @torch.inference_mode()
    def _encode(self, pictures: Tensor) -> Tensor:
        mean: Tensor = self.module.encode(self._ready(pictures)).latent_dist.mean
        return mean.float().cpu()

    def _ready(self, tensor: Tensor) -> Tensor:
        return tensor.to(self.device, self.precision.dtype).contiguous(
            memory_format=self.precision.memory_format
        )

    def _fitting(
        self,
        compute: Callable[[Tensor], Tensor],
        whole: Tensor,
        tiling: Tiling | None,
        *,
        in_scale: int,
        out_scale: int,
    ) -> Tensor:
        if tiling is None and self._too_large(whole.shape[2] * whole.shape[3] * out_scale**2):
            tiling = Tiling()
        if tiling is None:
            try:
                return compute(whole).clone()
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
            release_cached(self.device)
            tiling = Tiling()
        while True:
            try:
                return tiled(compute, whole, tiling, in_scale=in_scale, out_scale=out_scale)
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                if tiling.size // 2 < MIN_TILE:
                    raise ResourceError(
                        "There is not enough memory for the VAE, even in small tiles; free some, or use --device cpu.",
                        code="out-of-memory",
                    ) from error
                tiling = Tiling(size=tiling.size // 2, overlap=tiling.overlap // 2)
            release_cached(self.device)


def cropped(pixels: Tensor, multiple: int) -> Tensor:
    """Pictures (batch, height, width, channels) cut around their centre to sides that are multiples of `multiple`."""
    height, width = pixels.shape[1] // multiple * multiple, pixels.shape[2] // multiple * multiple
    if not height or not width:
        raise InputError(
            f"The picture has {pixels.shape[2]}x{pixels.shape[1]} pixels; it needs at least {multiple}."
        )
    top, left = (pixels.shape[1] - height) // 2, (pixels.shape[2] - width) // 2
    return pixels[:, top : top + height, left : left + width]


def tiled(
    compute: Callable[[Tensor], Tensor], whole: Tensor, tiling: Tiling, *, in_scale: int, out_scale: int
) -> Tensor:
    """Compute a picture (1, channels, height, width) tile by tile, blending the overlaps linearly.

    `in_scale` and `out_scale` are the pixels that a latent cell has on each side of `compute`.
    """
    rows, columns = whole.shape[2] // in_scale, whole.shape[3] // in_scale
    total: Tensor | None = None
    weights = torch.zeros(1, 1, rows * out_scale, columns * out_scale)
    for top in starts(rows, tiling):
        for left in starts(columns, tiling):
            bottom, right = min(top + tiling.size, rows), min(left + tiling.size, columns)
            part = whole[:, :, top * in_scale : bottom * in_scale, left * in_scale : right * in_scale]
            tile = compute(part)
            if total is None:
                total = tile.new_zeros(1, tile.shape[1], rows * out_scale, columns * out_scale)
            down = _ramp(tile.shape[2], tiling.overlap * out_scale, top > 0, bottom < rows)
            across = _ramp(tile.shape[3], tiling.overlap * out_scale, left > 0, right < columns)
            mask = down[:, None] * across
            place = (
                slice(None),
                slice(None),
                slice(top * out_scale, bottom * out_scale),
                slice(left * out_scale, right * out_scale),
            )
            total[place] += tile * mask
            weights[place] += mask
    if total is None:
        raise InputError("There is nothing to compute in an empty picture.")
    return total / weights


def starts(length: int, tiling: Tiling) -> list[int]:
    """Where tiles begin along a side; the last one ends with the side."""
    step = max(tiling.size - tiling.overlap, 1)
    last = max(length - tiling.size, 0)
    return [*range(0, last, step), last]


def _ramp(length: int, overlap: int, rises: bool, falls: bool) -> Tensor:
    ramp = torch.ones(length)
    slope = (torch.arange(min(overlap, length)) + 1) / (overlap + 1)
    if rises:
        ramp[: len(slope)] *= slope
    if falls:
        ramp[length - len(slope) :] *= slope.flip(0)
    return ramp


def is_out_of_memory(error: RuntimeError) -> bool:
    """True if torch ran out of memory, on a GPU or on the CPU."""
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def release_cached(device: torch.device) -> None:
    """Give the memory that torch keeps for later back to the device."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
