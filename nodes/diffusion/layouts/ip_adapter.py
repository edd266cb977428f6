"""IP-Adapters (Ye et al. 2023): layout of their files, configuration from shapes, and the network they make.

`image_proj.` makes tokens of what CLIP sees in a picture; `ip_adapter.` holds keys and values for them, for each
cross-attention of the UNet in the order of its attention processors (downward blocks, upward blocks, middle block).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from diffusers.models.embeddings import (
    ImageProjection,
    IPAdapterFullImageProjection,
    IPAdapterPlusImageProjection,
)
from torch import Tensor, nn

from nodes.diffusion.layouts.rules import Form, Rule
from nodes.diffusion.layouts.unet import Shapes, count

PLAIN = {"image_embeds": "proj"}
FULL = {"ff.net.0.proj": "proj.0", "ff.net.2": "proj.2", "norm": "proj.3"}
RESAMPLER = {
    "ln0": "0.norm1",
    "ln1": "0.norm2",
    "attn.to_q": "0.to_q",
    "attn.to_out.0": "0.to_out",
    "ff.0": "1.0",
    "ff.1.net.0.proj": "1.1",
    "ff.1.net.2": "1.3",
}
_KEYS = re.compile(r"ip_adapter\.(\d+)\.to_k_ip\.weight\Z")


class IpAdapterNetwork(nn.Module):
    """An IP-Adapter: tokens of a picture, and their keys and values at each cross-attention."""

    def __init__(self, projection: nn.Module, widths: Iterable[tuple[int, int]]) -> None:
        super().__init__()
        self.image_proj = projection
        sizes = list(widths)
        self.to_k = nn.ModuleList(nn.Linear(width, out, bias=False) for out, width in sizes)
        self.to_v = nn.ModuleList(nn.Linear(width, out, bias=False) for out, width in sizes)

    def tokens(self, seen: Tensor) -> Tensor:
        """Tokens (batch, tokens, width) of what CLIP sees, as this kind of adapter takes it."""
        made: Tensor = self.image_proj(seen.to(next(self.to_k.parameters())))
        return made


def config_from(shapes: Shapes) -> dict[str, Any]:
    """What kind of adapter it is and its sizes; raises KeyError where it is none of the known kinds."""
    places = sorted(int(found[1]) for name in shapes if (found := _KEYS.match(name)))
    config: dict[str, Any] = {
        "places": places,
        "widths": [shapes[f"ip_adapter.{place}.to_k_ip.weight"] for place in places],
    }
    if "image_proj.latents" in shapes:
        return config | _resampler(shapes)
    if "image_proj.proj.3.weight" in shapes:
        width = shapes["image_proj.proj.0.weight"][1]
        return config | {
            "kind": "full",
            "image_embed_dim": width,
            "cross_attention_dim": shapes["image_proj.proj.3.weight"][0],
        }
    rows, width = shapes["image_proj.proj.weight"]
    context = shapes["image_proj.norm.weight"][0]
    return config | {
        "kind": "plain",
        "image_embed_dim": width,
        "cross_attention_dim": context,
        "num_image_text_embeds": rows // context,
    }


def _resampler(shapes: Shapes) -> dict[str, Any]:
    _, queries, hidden = shapes["image_proj.latents"]
    return {
        "kind": "plus",
        "embed_dims": shapes["image_proj.proj_in.weight"][1],
        "output_dims": shapes["image_proj.proj_out.weight"][0],
        "hidden_dims": hidden,
        "depth": count(shapes, "image_proj.layers.{}.0.to_q.weight"),
        "heads": shapes["image_proj.layers.0.0.to_q.weight"][0] // 64,
        "num_queries": queries,
        "ffn_ratio": shapes["image_proj.layers.0.1.1.weight"][0] // hidden,
    }


def from_config(config: Mapping[str, Any]) -> IpAdapterNetwork:
    """The network, on the current device."""
    sizes = {name: value for name, value in config.items() if name not in ("kind", "places", "widths")}
    kinds: dict[str, Any] = {
        "plain": ImageProjection,
        "full": IPAdapterFullImageProjection,
        "plus": IPAdapterPlusImageProjection,
    }
    return IpAdapterNetwork(kinds[config["kind"]](**sizes), config["widths"])


def rules(config: Mapping[str, Any], targets: Iterable[str]) -> tuple[Rule, ...]:
    """Rules between an IpAdapterNetwork and its file."""
    return tuple(_rule(config, target) for target in targets)


def _rule(config: Mapping[str, Any], target: str) -> Rule:
    head, _, rest = target.partition(".")
    if head in ("to_k", "to_v"):
        place = config["places"][int(rest.partition(".")[0])]
        return Rule(target, f"ip_adapter.{place}.{head}_ip.weight")
    module, _, parameter = rest.rpartition(".")
    if config["kind"] != "plus":
        names = PLAIN if config["kind"] == "plain" else FULL
        return Rule(target, f"image_proj.{names.get(module, module)}.{parameter}")
    if not module.startswith("layers."):
        return Rule(target, target)
    _, index, inner = module.split(".", 2)
    layer = f"image_proj.layers.{index}."
    if inner in ("attn.to_k", "attn.to_v"):
        return Rule(target, f"{layer}0.to_kv.weight", Form("rows", int(inner == "attn.to_v"), 2))
    return Rule(target, f"{layer}{RESAMPLER[inner]}.{parameter}")
