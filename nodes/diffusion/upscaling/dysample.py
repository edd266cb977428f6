"""DySample (Liu et al. 2023, arXiv 2308.15085): more pixels, each taken from where a convolution says."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class DySample(nn.Module):
    """Features (batch, `takes`, height, width) enlarged `scale` times to `gives` channels.

    Each of `groups` equal groups of channels is moved by itself.
    """

    def __init__(self, *, takes: int, gives: int, scale: int, groups: int) -> None:
        super().__init__()
        self.scale, self.groups = scale, groups
        moves = 2 * groups * scale**2
        self.end_conv = nn.Conv2d(takes, gives, 1) if scale != 1 else nn.Identity()
        self.offset = nn.Conv2d(takes, moves, 1)
        self.scope = nn.Conv2d(takes, moves, 1, bias=False)
        self.register_buffer("init_pos", torch.zeros(1, moves, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        batch, _, height, width = x.shape
        moved = self.offset(x) * self.scope(x).sigmoid() * 0.5 + self.init_pos
        centres = torch.stack(
            [
                (torch.arange(width, device=x.device) + 0.5).expand(height, width),
                (torch.arange(height, device=x.device) + 0.5)[:, None].expand(height, width),
            ]
        )
        sides = torch.tensor([width, height], device=x.device).view(2, 1, 1, 1)
        places = 2 * (centres[:, None] + moved.reshape(batch, 2, -1, height, width).float()) / sides - 1
        larger = functional.pixel_shuffle(places.flatten(1, 2), self.scale)
        grid = larger.reshape(batch, 2, self.groups, *larger.shape[-2:])
        grid = grid.permute(0, 2, 3, 4, 1).flatten(0, 1).to(x.dtype)
        parts = x.reshape(batch * self.groups, -1, height, width)
        found = functional.grid_sample(parts, grid, align_corners=False, padding_mode="border")
        result: Tensor = self.end_conv(found.reshape(batch, -1, *found.shape[-2:]))
        return result
