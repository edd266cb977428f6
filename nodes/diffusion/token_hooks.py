"""What is done around self-attention in a UNet so that it costs less: tiles (HyperTile), and merged tokens (ToMe)."""

from __future__ import annotations

import random
from typing import Any

import torch
from torch import Tensor, nn

from nodes.diffusion.self_attention_guidance import map_size
from nodes.diffusion.unet_walk import BlockHook
from nodes.guidance.network_options import HyperTileOption

CELL = 8


class TokenHook(BlockHook):
    """Something around every self-attention; it knows the latent's size, and finds levels by the number of tokens."""

    def __init__(self) -> None:
        self.size = (0, 0)

    def begin(self, x: Tensor, timestep: Tensor) -> None:
        self.size = (x.shape[-2], x.shape[-1])

    def attended(self, attention: Any, hidden: Tensor, *arguments: Any, **named: Any) -> Tensor:
        """The self-attention of tokens (rows, tokens, width)."""
        result: Tensor = attention(hidden, *arguments, **named)
        return result

    def map_size(self, tokens: int) -> tuple[int, int, int]:
        """The height and width of the map that tokens make, and how often its sides were halved."""
        height, width = map_size(*self.size, tokens)
        depth, side = 0, self.size[0]
        while side > height:
            side, depth = -(-side // 2), depth + 1
        return height, width, depth


class HookedAttention(nn.Module):
    """A self-attention with something around it."""

    def __init__(self, attention: nn.Module, hook: TokenHook) -> None:
        super().__init__()
        self.attention = attention
        self.hook = hook

    def forward(self, hidden: Tensor, *arguments: Any, **named: Any) -> Tensor:
        return self.hook.attended(self.attention, hidden, *arguments, **named)


def hook_self_attention(module: Any, hook: TokenHook) -> None:
    """Put a hook around every self-attention of a UNet that nobody else uses."""
    for block in list(module.modules()):
        if type(block).__name__ == "BasicTransformerBlock":
            block.attn1 = HookedAttention(block.attn1, hook)


class HyperTile(TokenHook):
    """Self-attention within tiles (tfernd 2023, "HyperTile"), in the outer levels, where neighbours matter most.

    Tiles have at least `tile_size` pixels a side; which of up to `swap_size` divisions is taken changes from layer to
    layer, so that no seam stays in one place. The order is the same in every run.
    """

    def __init__(self, option: HyperTileOption) -> None:
        super().__init__()
        self.option = option
        self.least = max(32, option.tile_size) // CELL
        self.chance = random.Random(0)

    def attended(self, attention: Any, hidden: Tensor, *arguments: Any, **named: Any) -> Tensor:
        rows, tokens, width = hidden.shape
        height, length, depth = self.map_size(tokens)
        if depth > self.option.max_depth or height * length != tokens:
            return super().attended(attention, hidden, *arguments, **named)
        least = self.least * 2**depth if self.option.scale_depth else self.least
        down, across = (self._parts(side, least) for side in (height, length))
        if down * across == 1:
            return super().attended(attention, hidden, *arguments, **named)
        shape = (rows, down, height // down, across, length // across, width)
        tiles = hidden.reshape(shape).transpose(2, 3).reshape(rows * down * across, -1, width)
        result = super().attended(attention, tiles, *arguments, **named)
        back = result.reshape(rows, down, across, height // down, length // across, width)
        return back.transpose(2, 3).reshape(rows, tokens, width)

    def _parts(self, side: int, least: int) -> int:
        """How many tiles a side is cut into: one of the largest numbers whose tiles are not too small."""
        least = min(least, side)
        sizes = [size for size in range(least, side + 1) if side % size == 0]
        return side // self.chance.choice(sizes[: self.option.swap_size])


class MergedTokens(TokenHook):
    """Token merging (Bolya & Hoffman 2023, arXiv 2303.17604): in the outermost level a `ratio` of the tokens is merged
    into those most like them before self-attention, and they share its result.

    One token of each 2 x 2 is a target, the first; all others may be merged, the most alike first.
    """

    def __init__(self, ratio: float) -> None:
        super().__init__()
        self.ratio = ratio

    def attended(self, attention: Any, hidden: Tensor, *arguments: Any, **named: Any) -> Tensor:
        height, length, depth = self.map_size(hidden.shape[1])
        count = min(int(hidden.shape[1] * self.ratio), hidden.shape[1] - _targets(height, length))
        if depth or count <= 0:
            return super().attended(attention, hidden, *arguments, **named)
        match = _Match(hidden, height, length, count)
        return match.spread(super().attended(attention, match.merge(hidden), *arguments, **named))


def _targets(height: int, length: int) -> int:
    return -(-height // 2) * -(-length // 2)


class _Match:
    """Which tokens are merged into which."""

    def __init__(self, hidden: Tensor, height: int, length: int, count: int) -> None:
        grid = torch.zeros(height, length, dtype=torch.bool)
        grid[::2, ::2] = True
        places = torch.arange(height * length)
        self.targets = places[grid.flatten()].to(hidden.device)
        self.sources = places[~grid.flatten()].to(hidden.device)
        metric = nn.functional.normalize(hidden.float(), dim=-1)
        alike, nearest = (metric[:, self.sources] @ metric[:, self.targets].mT).max(dim=-1)
        order = alike.argsort(dim=-1, descending=True, stable=True)
        self.merged, self.kept = order[:, :count], order[:, count:].sort(dim=-1).values
        self.into = nearest.gather(1, self.merged)

    def merge(self, hidden: Tensor) -> Tensor:
        """The tokens that are left: sources that were kept, then targets as means of what was merged into them."""
        sources, targets = hidden[:, self.sources], hidden[:, self.targets]
        gone = _take(sources, self.merged)
        where = self.into[..., None].expand_as(gone)
        means = targets.scatter_reduce(1, where, gone, reduce="mean", include_self=True)
        return torch.cat([_take(sources, self.kept), means], dim=1)

    def spread(self, result: Tensor) -> Tensor:
        """A result for all tokens again: those that were merged get their target's."""
        count = self.kept.shape[1]
        kept, targets = result[:, :count], result[:, count:]
        rows, width = len(result), result.shape[-1]
        full = result.new_empty(rows, len(self.sources) + len(self.targets), width)
        full[:, self.targets] = targets
        sources = result.new_empty(rows, len(self.sources), width)
        sources.scatter_(1, self.kept[..., None].expand(-1, -1, width), kept)
        sources.scatter_(1, self.merged[..., None].expand(-1, -1, width), _take(targets, self.into))
        full[:, self.sources] = sources
        return full


def _take(tokens: Tensor, places: Tensor) -> Tensor:
    return tokens.gather(1, places[..., None].expand(-1, -1, tokens.shape[-1]))
