"""ControlNets and T2I-Adapters at work in one run: each with its picture at the latent's size (`HintNetwork`).

A picture lies over the whole latent; where the network sees a part of it, so do they.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from nodes.diffusion.entries import rows_for, rows_of
from nodes.diffusion.network import Residuals
from nodes.diffusion.region import Region


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class UNetControl:
    """A ControlNetModel for UNets; `picture` (batch, channels, height, width) has `factor` pixels a latent cell."""

    module: Any
    picture: Tensor
    factor: int
    strength: float
    start: float
    end: float

    def of_rows(self, rows: Sequence[int], batch: int) -> UNetControl:
        """The same for these samples of a batch alone."""
        return replace(self, picture=rows_of(self.picture, rows, batch))

    def __call__(
        self,
        x: Tensor,
        timestep: Tensor,
        conditions: Mapping[str, Tensor],
        *,
        batch: int,
        regions: Sequence[Region | None],
    ) -> Residuals:
        """Additions to the skip connections and behind the middle block (see `HintNetwork`)."""
        down, middle = self.module(
            x,
            timestep,
            encoder_hidden_states=conditions["context"],
            controlnet_cond=_cut(self.picture, regions, batch, self.factor),
            conditioning_scale=self.strength,
            added_cond_kwargs=_sizes(conditions),
            return_dict=False,
        )
        return Residuals(down=tuple(down), mid=middle)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class UnionControl:
    """A ControlNetUnionModel; `kind` is the number of the kind of map that it is shown, None if it is not told."""

    module: Any
    picture: Tensor
    factor: int
    kind: int | None
    strength: float
    start: float
    end: float

    def of_rows(self, rows: Sequence[int], batch: int) -> UnionControl:
        """The same for these samples of a batch alone."""
        return replace(self, picture=rows_of(self.picture, rows, batch))

    def __call__(
        self,
        x: Tensor,
        timestep: Tensor,
        conditions: Mapping[str, Tensor],
        *,
        batch: int,
        regions: Sequence[Region | None],
    ) -> Residuals:
        """Additions to the skip connections and behind the middle block (see `HintNetwork`)."""
        picture = _cut(self.picture, regions, batch, self.factor)
        if self.kind is None:
            return self._untold(x, timestep, conditions, picture)
        kinds = torch.zeros(len(x), self.module.config.num_control_type, device=x.device)
        kinds[:, self.kind] = 1
        down, middle = self.module(
            x,
            timestep,
            encoder_hidden_states=conditions["context"],
            controlnet_cond=[picture],
            control_type=kinds,
            control_type_idx=[self.kind],
            conditioning_scale=[self.strength],
            added_cond_kwargs=_sizes(conditions),
            return_dict=False,
        )
        return Residuals(down=tuple(down), mid=middle)

    def _untold(
        self, x: Tensor, timestep: Tensor, conditions: Mapping[str, Tensor], picture: Tensor
    ) -> Residuals:
        """Without a kind the picture is added as by a plain ControlNet, and all kinds are told to be absent."""
        module, context = self.module, conditions["context"]
        time = module.time_embedding(module.time_proj(timestep).to(x.dtype))
        kinds = module.control_type_proj(torch.zeros(module.config.num_control_type, device=x.device))
        time = time + module.control_add_embedding(kinds.reshape(1, -1).to(x.dtype))
        if "size" in conditions:
            sizes = _sizes(conditions)
            numbers = module.add_time_proj(sizes["time_ids"].flatten()).reshape(len(x), -1)
            pooled = torch.cat([sizes["text_embeds"], numbers.to(x.dtype)], dim=1)
            time = time + module.add_embedding(pooled)
        hidden = module.conv_in(x) + module.controlnet_cond_embedding(picture)
        skips = [hidden]
        for block in module.down_blocks:
            attends = getattr(block, "has_cross_attention", False)
            extra = {"encoder_hidden_states": context} if attends else {}
            hidden, added = block(hidden_states=hidden, temb=time, **extra)
            skips += added
        hidden = module.mid_block(hidden, time, encoder_hidden_states=context)
        down = tuple(
            layer(skip) * self.strength
            for layer, skip in zip(module.controlnet_down_blocks, skips, strict=True)
        )
        return Residuals(down=down, mid=module.controlnet_mid_block(hidden) * self.strength)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TransformerControl:
    """An SD3ControlNetModel; `latent` (batch, channels, height, width) is its picture as it reads it.

    `base` is the transformer that it goes with, whose places it shares where it has none of its own.
    """

    module: Any
    base: Any
    latent: Tensor
    strength: float
    start: float
    end: float

    def of_rows(self, rows: Sequence[int], batch: int) -> TransformerControl:
        """The same for these samples of a batch alone."""
        return replace(self, latent=rows_of(self.latent, rows, batch))

    def __call__(
        self,
        x: Tensor,
        timestep: Tensor,
        conditions: Mapping[str, Tensor],
        *,
        batch: int,
        regions: Sequence[Region | None],
    ) -> Residuals:
        """Additions behind each block of the transformer (see `HintNetwork`)."""
        module, patch = self.module, self.base.config.patch_size
        hidden = _wrapped(x, patch)
        if module.pos_embed is None:
            hidden = self.base.pos_embed(hidden)
        pooled = conditions["pooled"]
        if module.config.force_zeros_for_pooled_projection:
            pooled = torch.zeros_like(pooled)
        blocks = module(
            hidden_states=hidden,
            controlnet_cond=_wrapped(_cut(self.latent, regions, batch, 1), patch),
            conditioning_scale=self.strength,
            encoder_hidden_states=None if module.context_embedder is None else conditions["context"],
            pooled_projections=pooled,
            timestep=timestep,
            return_dict=False,
        )[0]
        layers = len(self.base.transformer_blocks)
        return Residuals(blocks=tuple(blocks[layer * len(blocks) // layers] for layer in range(layers)))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AdapterControl:
    """A T2IAdapter. What it makes of a picture depends on no noise, so it is computed once for each region."""

    module: Any
    picture: Tensor
    factor: int
    strength: float
    start: float
    end: float
    _known: dict[Region | None, tuple[Tensor, ...]] = field(default_factory=dict)

    def of_rows(self, rows: Sequence[int], batch: int) -> AdapterControl:
        """The same for these samples of a batch alone."""
        return replace(self, picture=rows_of(self.picture, rows, batch), _known={})

    def __call__(
        self,
        x: Tensor,
        timestep: Tensor,
        conditions: Mapping[str, Tensor],
        *,
        batch: int,
        regions: Sequence[Region | None],
    ) -> Residuals:
        """Additions within the downward blocks (see `HintNetwork`)."""
        each = [self._features(region) for region in regions]
        return Residuals(
            intrablock=tuple(
                torch.cat([rows_for(features[level], batch) for features in each])
                for level in range(len(each[0]))
            )
        )

    def _features(self, region: Region | None) -> tuple[Tensor, ...]:
        if region not in self._known:
            picture = self.picture if region is None else region.times(self.factor).of(self.picture)
            multiple = self.module.downscale_factor
            height, width = picture.shape[-2:]
            padded = functional.pad(picture, (0, -width % multiple, 0, -height % multiple), mode="replicate")
            self._known[region] = tuple(features * self.strength for features in self.module(padded))
        return self._known[region]


def _sizes(conditions: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """SDXL's pooled vector and sizes, as its networks take them; nothing for others."""
    if "size" not in conditions:
        return {}
    coarse, fine = conditions["size"].float().chunk(2, dim=1)
    return {"text_embeds": conditions["pooled"], "time_ids": coarse + fine}


def _cut(picture: Tensor, regions: Sequence[Region | None], batch: int, factor: int) -> Tensor:
    """The parts of a picture that the rows of a pass see."""
    parts = [picture if region is None else region.times(factor).of(picture) for region in regions]
    return torch.cat([rows_for(part, batch) for part in parts])


def _wrapped(x: Tensor, patch: int) -> Tensor:
    """Sides filled up to whole patches, as the transformer itself is given them."""
    height, width = x.shape[-2:]
    return functional.pad(x, (0, -width % patch, 0, -height % patch), mode="circular")
