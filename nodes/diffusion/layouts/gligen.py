"""GLIGEN's additions to a UNet (Li et al. 2023): layout of their files, configuration from shapes, and the network.

`position_net.` makes tokens of boxes with texts; every transformer block of the UNet gets a `fuser`, gated attention in
which it sees them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from diffusers.models.attention import GatedSelfAttentionDense
from diffusers.models.embeddings import GLIGENTextBoundingboxProjection
from torch import Tensor, nn

from nodes.diffusion.layouts.rules import Rule
from nodes.diffusion.layouts.unet import Shapes

HEADS = 8
FIRST = "position_net.linears.0.weight"
_FUSER = re.compile(
    r"((?:input_blocks|middle_block|output_blocks)\..*\.transformer_blocks\.\d+)\.fuser\.linear\.weight\Z"
)


class GligenNetwork(nn.Module):
    """Tokens of boxes, and the gated attention of each transformer block."""

    def __init__(self, position_net: nn.Module, fusers: Iterable[nn.Module]) -> None:
        super().__init__()
        self.position_net = position_net
        self.fusers = nn.ModuleList(fusers)

    def tokens(self, boxes: Tensor, masks: Tensor, texts: Tensor) -> Tensor:
        """Tokens (batch, boxes, width) of boxes (batch, boxes, 4) with texts; those with a mask of 0 are empty."""
        made: Tensor = self.position_net(boxes=boxes, masks=masks, positive_embeddings=texts)
        return made


def config_from(shapes: Shapes) -> dict[str, Any]:
    """The configuration that shapes have; raises KeyError where no GLIGEN is."""
    places = [found[1] for name in shapes if (found := _FUSER.match(name))]
    return {
        "places": places,
        "widths": [shapes[f"{place}.fuser.linear.weight"] for place in places],
        "positive_len": shapes["position_net.null_positive_feature"][0],
        "fourier_freqs": shapes["position_net.null_position_feature"][0] // 8,
        "out_dim": shapes["position_net.linears.4.weight"][0],
    }


def from_config(config: Mapping[str, Any]) -> GligenNetwork:
    """The network, on the current device."""
    position_net = GLIGENTextBoundingboxProjection(
        config["positive_len"], config["out_dim"], fourier_freqs=config["fourier_freqs"]
    )
    heads = int(config.get("heads", HEADS))
    fusers = (
        GatedSelfAttentionDense(query, context, heads, query // heads) for query, context in config["widths"]
    )
    return GligenNetwork(position_net, fusers)


def rules(config: Mapping[str, Any], targets: Iterable[str]) -> tuple[Rule, ...]:
    """Rules between a GligenNetwork and its file."""
    return tuple(_rule(config, target) for target in targets)


def _rule(config: Mapping[str, Any], target: str) -> Rule:
    if not target.startswith("fusers."):
        return Rule(target, target)
    _, index, inner = target.split(".", 2)
    return Rule(target, f"{config['places'][int(index)]}.fuser.{inner}")
