"""IP-Adapters (Ye et al. 2023): a picture as a prompt, by cross-attention of its own beside the text's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from graphcore.errors import InputError, ModelFileError
from nodes.control.steering import ClipVisionOutput
from nodes.diffusion.attention_additions import attended_tokens
from nodes.diffusion.entries import rows_for, rows_of
from nodes.diffusion.layouts import ip_adapter
from nodes.diffusion.layouts.ip_adapter import IpAdapterNetwork
from nodes.diffusion.layouts.rules import NOT_THERE
from nodes.diffusion.network import ForwardPass, Residuals
from nodes.diffusion.part import Part
from nodes.diffusion.region import Region, resized_mask
from nodes.diffusion.safetensors_header import read_header

CELL = 8
"""How finely a mask is cut where the network sees a part of the latent, in shares of a cell."""


def open_ip_adapter(path: Path) -> Part:
    """The IP-Adapter in a file, from its header alone.

    Raises ModelFileError for pickles, damaged files, files of other kinds, and adapters that want a face's identity.
    """
    header = read_header(path)
    shapes = {name: info.shape for name, info in header.tensors.items()}
    faceid = any(".to_q_lora." in name or "perceiver_resampler" in name for name in shapes)
    if not faceid:
        try:
            config = ip_adapter.config_from(shapes)
        except NOT_THERE:
            config = {}
        if config.get("places"):
            return Part(name="ip_adapter", kind="ip_adapter", config=config, headers=(header,))
    what = (
        "is a FaceID adapter, which is shown InsightFace's face embeddings and nothing here computes those; use a "
        "plus-face or full-face one"
        if faceid
        else "is no IP-Adapter; choose a file with image_proj and ip_adapter tensors"
    )
    raise ModelFileError(f"{path.name} {what}.", code="model-file-family", location=str(path))


def wanted_of(part: Part, output: ClipVisionOutput) -> Tensor:
    """Of what CLIP sees, that which an adapter takes; raises InputError if it is of another width."""
    plain = part.config["kind"] == "plain"
    given = output.embeds if plain else output.penultimate_hidden
    width = part.config.get("image_embed_dim", part.config.get("embed_dims"))
    if given.shape[-1] != width:
        raise InputError(
            f"'{part.path.name}' takes CLIP's view {width} wide, but '{output.vision.file.name}' gives "
            f"{given.shape[-1]}; choose the CLIP vision model that the adapter was made for.",
            code="wrong-family",
        )
    return given


@torch.no_grad()
def image_tokens(network: IpAdapterNetwork, seen: Tensor, *, together: bool) -> Tensor:
    """Tokens of pictures: (1, all their tokens, width), or with `together` off (pictures, tokens, width)."""
    tokens = network.tokens(seen)
    return tokens.flatten(0, 1)[None] if together else tokens


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ImagePrompt:
    """An IP-Adapter at work in one run; `name` is that of its tokens among the conditions (see `HintNetwork`).

    `mask` (batch, height, width) says where it acts; it lies over the latent of `size` (height, width).
    """

    network: IpAdapterNetwork
    name: str
    strength: float
    start: float
    end: float
    mask: Tensor | None
    size: tuple[int, int]

    def of_rows(self, rows: Sequence[int], batch: int) -> ImagePrompt:
        """The same for these samples of a batch alone."""
        return self if self.mask is None else replace(self, mask=rows_of(self.mask, rows, batch))

    def __call__(self, forward: ForwardPass) -> Residuals:
        """An addition to each cross-attention."""
        mask = None
        if self.mask is not None:
            seen = [self._seen(self.mask, region) for region in forward.regions]
            mask = torch.cat([rows_for(part, forward.batch) for part in seen])
        addition = _ImageAttention(
            network=self.network,
            tokens=forward.conditions[self.name],
            strength=self.strength,
            mask=mask,
            size=(forward.x.shape[-2], forward.x.shape[-1]),
        )
        return Residuals(attention=(addition,))

    def _seen(self, mask: Tensor, region: Region | None) -> Tensor:
        if region is None:
            return mask[:, None]
        height, width = (side * CELL for side in self.size)
        return region.times(CELL).of(resized_mask(mask, height, width)[:, None])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _ImageAttention:
    network: IpAdapterNetwork
    tokens: Tensor
    strength: float
    mask: Tensor | None
    size: tuple[int, int]

    def __call__(self, place: int, layer: Any, hidden: Tensor) -> Tensor:
        keys, values = self.network.to_k[place](self.tokens), self.network.to_v[place](self.tokens)
        found = attended_tokens(layer, hidden, keys, values) * self.strength
        if self.mask is not None:
            found = found * self._weights(hidden)
        return functional.linear(found, layer.to_out[0].weight)

    def _weights(self, hidden: Tensor) -> Tensor:
        """The mask at the size of a layer (rows, its places, 1)."""
        assert self.mask is not None
        height, width = self.size
        while height * width > hidden.shape[1]:
            height, width = -(-height // 2), -(-width // 2)
        small = functional.interpolate(self.mask.float(), size=(height, width), mode="bicubic")
        return small.flatten(1)[..., None].to(hidden)
