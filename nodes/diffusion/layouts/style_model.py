"""Style adapters of T2I-Adapter (Mou et al. 2023): what CLIP sees in a picture becomes a few tokens beside the text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from diffusers.models.controlnets.controlnet_union import ResidualAttentionBlock
from torch import Tensor, nn

from nodes.diffusion.layouts.rules import Rule
from nodes.diffusion.layouts.unet import Shapes, count

HEADS = 8


class StyleNetwork(nn.Module):
    """Learnt tokens that look at CLIP's, and are turned into the width of the text."""

    def __init__(self, *, width: int, context: int, tokens: int, layers: int, heads: int = HEADS) -> None:
        super().__init__()
        self.style_embedding = nn.Parameter(torch.zeros(1, tokens, width))
        self.ln_pre = nn.LayerNorm(width)
        self.transformer_layes = nn.ModuleList(ResidualAttentionBlock(width, heads) for _ in range(layers))
        self.ln_post = nn.LayerNorm(width)
        self.proj = nn.Parameter(torch.zeros(width, context))

    def forward(self, seen: Tensor) -> Tensor:
        """Tokens (batch, tokens, context) of CLIP's last layer (batch, places, width)."""
        count = self.style_embedding.shape[1]
        style = self.style_embedding.expand(len(seen), -1, -1)
        hidden = self.ln_pre(torch.cat([seen.to(style), style], dim=1)).transpose(0, 1)
        for layer in self.transformer_layes:
            hidden = layer(hidden)
        made: Tensor = self.ln_post(hidden.transpose(0, 1)[:, -count:]) @ self.proj
        return made


def config_from(shapes: Shapes) -> dict[str, Any]:
    """The configuration that shapes have; raises KeyError where no style adapter is."""
    _, tokens, width = shapes["style_embedding"]
    return {
        "width": width,
        "context": shapes["proj"][1],
        "tokens": tokens,
        "layers": count(shapes, "transformer_layes.{}.ln_1.weight"),
    }


def from_config(config: Mapping[str, Any]) -> StyleNetwork:
    """The network, on the current device."""
    return StyleNetwork(**config)


def rules(config: Mapping[str, Any], targets: Iterable[str]) -> tuple[Rule, ...]:
    """Rules between a StyleNetwork and its file, which has the same names."""
    del config
    return tuple(Rule(target, target) for target in targets)
