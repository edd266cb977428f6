"""What is done between the blocks of a UNet: FreeU, and computing its inside smaller."""

from __future__ import annotations

import torch
from torch import Tensor

from nodes.diffusion.resizing import resize
from nodes.diffusion.unet_walk import BlockHook
from nodes.guidance.network_options import DownscaleOption, FreeUOption


class FreeU(BlockHook):
    """FreeU (Si et al. 2023, arXiv 2309.11497): where the network has four and two times its first width.

    Half of the backbone's channels are multiplied by b, and the lowest frequencies of the skips by s. In version 2 a
    place is multiplied by the more the brighter its mean over channels is.
    """

    def __init__(self, option: FreeUOption, first_width: int) -> None:
        self.scales = {
            4 * first_width: (option.b1, option.s1),
            2 * first_width: (option.b2, option.s2),
        }
        self.structured = option.structured

    def rejoined(self, h: Tensor, skip: Tensor) -> tuple[Tensor, Tensor]:
        if h.shape[1] not in self.scales:
            return h, skip
        backbone, low = self.scales[h.shape[1]]
        half = h.shape[1] // 2
        factor: float | Tensor = backbone
        if self.structured:
            mean = h.mean(dim=1, keepdim=True)
            least, most = mean.amin(dim=(2, 3), keepdim=True), mean.amax(dim=(2, 3), keepdim=True)
            factor = (backbone - 1) * (mean - least) / (most - least).clamp_min(1e-8) + 1
        h = torch.cat([h[:, :half] * factor, h[:, half:]], dim=1)
        return h, damped(skip, low)


def damped(x: Tensor, factor: float) -> Tensor:
    """x (batch, channels, height, width) with its lowest two frequencies a side multiplied by `factor`."""
    spectrum = torch.fft.fftshift(torch.fft.fftn(x.float(), dim=(-2, -1)), dim=(-2, -1))
    row, column = x.shape[-2] // 2, x.shape[-1] // 2
    spectrum[..., max(row - 1, 0) : row + 1, max(column - 1, 0) : column + 1] *= factor
    filtered: Tensor = torch.fft.ifftn(torch.fft.ifftshift(spectrum, dim=(-2, -1)), dim=(-2, -1)).real
    return filtered.to(x.dtype)


class Downscale(BlockHook):
    """Kohya's "deep shrink": from one input block on the inside is computed smaller while shapes are decided, so that
    pictures larger than those of the training do not repeat their subject.

    `first` and `last` are timesteps between which it acts, both included.
    """

    def __init__(self, option: DownscaleOption, *, first: float, last: float) -> None:
        self.option = option
        self.first, self.last = first, last
        self.active = False

    def begin(self, x: Tensor, timestep: Tensor) -> None:
        self.active = self.last <= float(timestep[0]) <= self.first

    def entered(self, h: Tensor, block: int) -> Tensor:
        return h if self.option.after_skip else self._smaller(h, block)

    def descended(self, h: Tensor, block: int) -> Tensor:
        return self._smaller(h, block) if self.option.after_skip else h

    def rejoined(self, h: Tensor, skip: Tensor) -> tuple[Tensor, Tensor]:
        if h.shape[-2:] == skip.shape[-2:]:
            return h, skip
        return resize(h, skip.shape[-1], skip.shape[-2], self.option.up_method), skip

    def _smaller(self, h: Tensor, block: int) -> Tensor:
        if not self.active or block != self.option.block:
            return h
        height, width = (max(round(side / self.option.factor), 1) for side in h.shape[-2:])
        return resize(h, width, height, self.option.down_method)
