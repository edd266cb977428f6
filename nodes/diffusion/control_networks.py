"""ControlNets and T2I-Adapters at work in one run: each with its picture at the latent's size (`HintNetwork`).

A picture lies over the whole latent; where the network sees a part of it, so do they.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import torch
from torch import Tensor
from torch.nn import functional

from nodes.diffusion.entries import rows_for, rows_of
from nodes.diffusion.network import ForwardPass, Residuals
from nodes.diffusion.region import Region


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PictureControl:
    """What is shown a picture (batch, channels, height, width), of `factor` pixels a latent cell."""

    module: Any
    picture: Tensor
    factor: int
    strength: float
    start: float
    end: float

    def of_rows(self, rows: Sequence[int], batch: int) -> Self:
        """The same for these samples of a batch alone."""
        return replace(self, picture=rows_of(self.picture, rows, batch))

    def part(self, region: Region | None) -> Tensor:
        """What a region shows of the picture."""
        return self.picture if region is None else region.times(self.factor).of(self.picture)

    def seen(self, forward: ForwardPass) -> Tensor:
        """What the rows of a pass show of the picture."""
        return torch.cat([rows_for(self.part(region), forward.batch) for region in forward.regions])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class UNetControl(PictureControl):
    """A ControlNetModel for UNets."""

    def __call__(self, forward: ForwardPass) -> Residuals:
        """Additions to the skip connections and behind the middle block (see `HintNetwork`)."""
        down, middle = self.module(
            forward.x,
            forward.timestep,
            encoder_hidden_states=forward.conditions["context"],
            controlnet_cond=self.seen(forward),
            conditioning_scale=self.strength,
            added_cond_kwargs=_sizes(forward.conditions),
            return_dict=False,
        )
        return Residuals(down=tuple(down), mid=middle)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class UnionControl(PictureControl):
    """A ControlNetUnionModel; `kind` is the number of the kind of map that it is shown, None if it is not told."""

    kind: int | None

    def __call__(self, forward: ForwardPass) -> Residuals:
        """Additions to the skip connections and behind the middle block (see `HintNetwork`)."""
        x = forward.x
        if self.kind is None:
            return self._untold(forward)
        kinds = torch.zeros(len(x), self.module.config.num_control_type, device=x.device)
        kinds[:, self.kind] = 1
        down, middle = self.module(
            x,
            forward.timestep,
            encoder_hidden_states=forward.conditions["context"],
            controlnet_cond=[self.seen(forward)],
            control_type=kinds,
            control_type_idx=[self.kind],
            conditioning_scale=[self.strength],
            added_cond_kwargs=_sizes(forward.conditions),
            return_dict=False,
        )
        return Residuals(down=tuple(down), mid=middle)

    def _untold(self, forward: ForwardPass) -> Residuals:
        """Without a kind the picture is added as by a plain ControlNet, and all kinds are told to be absent."""
        module, x, conditions = self.module, forward.x, forward.conditions
        context = conditions["context"]
        time = module.time_embedding(module.time_proj(forward.timestep).to(x.dtype))
        kinds = module.control_type_proj(torch.zeros(module.config.num_control_type, device=x.device))
        time = time + module.control_add_embedding(kinds.reshape(1, -1).to(x.dtype))
        if "size" in conditions:
            sizes = _sizes(conditions)
            numbers = module.add_time_proj(sizes["time_ids"].flatten()).reshape(len(x), -1)
            pooled = torch.cat([sizes["text_embeds"], numbers.to(x.dtype)], dim=1)
            time = time + module.add_embedding(pooled)
        hidden = module.conv_in(x) + module.controlnet_cond_embedding(self.seen(forward))
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
class TransformerControl(PictureControl):
    """An SD3ControlNetModel; its picture is a latent, as it reads it.

    `base` is the transformer that it goes with, whose places it shares where it has none of its own.
    """

    factor: int = 1
    base: Any

    def __call__(self, forward: ForwardPass) -> Residuals:
        """Additions behind each block of the transformer (see `HintNetwork`)."""
        module, patch = self.module, self.base.config.patch_size
        hidden = _wrapped(forward.x, patch)
        if module.pos_embed is None:
            hidden = self.base.pos_embed(hidden)
        pooled = forward.conditions["pooled"]
        if module.config.force_zeros_for_pooled_projection:
            pooled = torch.zeros_like(pooled)
        blocks = module(
            hidden_states=hidden,
            controlnet_cond=_wrapped(self.seen(forward), patch),
            conditioning_scale=self.strength,
            encoder_hidden_states=None if module.context_embedder is None else forward.conditions["context"],
            pooled_projections=pooled,
            timestep=forward.timestep,
            return_dict=False,
        )[0]
        layers = len(self.base.transformer_blocks)
        return Residuals(blocks=tuple(blocks[layer * len(blocks) // layers] for layer in range(layers)))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AdapterControl(PictureControl):
    """A T2IAdapter. What it makes of a picture depends on no noise, so it is computed once for each region."""

    _known: dict[Region | None, tuple[Tensor, ...]] = field(init=False, default_factory=dict)

    def __call__(self, forward: ForwardPass) -> Residuals:
        """Additions within the downward blocks (see `HintNetwork`)."""
        each = [self._features(region) for region in forward.regions]
        return Residuals(
            intrablock=tuple(
                torch.cat([rows_for(features[level], forward.batch) for features in each])
                for level in range(len(each[0]))
            )
        )

    def _features(self, region: Region | None) -> tuple[Tensor, ...]:
        if region not in self._known:
            picture = self.part(region)
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


def _wrapped(x: Tensor, patch: int) -> Tensor:
    """Sides filled up to whole patches, as the transformer itself is given them."""
    height, width = x.shape[-2:]
    return functional.pad(x, (0, -width % patch, 0, -height % patch), mode="circular")
