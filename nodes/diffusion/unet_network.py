"""A UNet of SD 1.x, SD 2.x or SDXL as sampling sees it (`Network`).

Beside the text, SDXL takes a pooled vector and sizes; networks with more input channels than latents have take more
(`extra_channels`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor

from graphcore.errors import InputError
from nodes.diffusion.attention_additions import addition_switch
from nodes.diffusion.extra_channels import extra_channels
from nodes.diffusion.families.family import ConditioningRule
from nodes.diffusion.gligen import grounding_switch
from nodes.diffusion.input_additions import input_switch
from nodes.diffusion.module_network import ModuleNetwork
from nodes.diffusion.network import LatentFormat, LatentScene, Residuals
from nodes.diffusion.parameterization import ContinuousEdm, Parameterization
from nodes.diffusion.perturbed_attention import perturbable
from nodes.diffusion.precision import Precision
from nodes.diffusion.unclip import NoiseAugmentor, picture_vector, pictures_of, plain_augmentor
from nodes.diffusion.unet_walk import BlockHook, walk
from nodes.values import ConditioningEntry

REFINER_SCORE, NEGATIVE_REFINER_SCORE = 6.0, 2.5
"""The aesthetic scores that the refiner takes where the conditioning holds none."""
SIZES = {"text+size": 6, "text+score": 5}


class UNetNetwork(ModuleNetwork):
    """A UNet2DConditionModel that satisfies `Network`."""

    def __init__(
        self,
        module: Any,
        *,
        rule: ConditioningRule,
        parameterization: Parameterization,
        latent_format: LatentFormat,
        precision: Precision,
        augmentor: NoiseAugmentor | None = None,
    ) -> None:
        super().__init__(
            module, parameterization=parameterization, latent_format=latent_format, precision=precision
        )
        self.rule = rule
        self.augmentor = augmentor
        self.hooks: tuple[BlockHook, ...] = ()
        self.begin: Callable[[Mapping[str, Tensor]], None] | None = None
        self._switch = perturbable(module)

    def conditions(self, entry: ConditioningEntry, scene: LatentScene) -> dict[str, Tensor]:
        """What this network takes of an entry: "context"; SDXL's "pooled" and "size"; unCLIP's "class"; "concat"."""
        config = self.module.config
        width = _single(config.cross_attention_dim)
        if entry.embeddings.shape[-1] != width:
            raise InputError(
                f"The text embeddings are {entry.embeddings.shape[-1]} wide, but this model takes {width}; encode the "
                "prompt with the text encoder of the same model."
            )
        named = {"context": entry.embeddings}
        if self.rule in SIZES:
            named |= self._sized(entry, scene)
        if self.rule == "text+picture":
            named["class"] = self._pictured(entry, scene)
        extra = int(config.in_channels) - self.latent_format.channels
        if extra:
            named["concat"] = extra_channels(
                entry,
                scene,
                extra,
                self.latent_format,
                scaled_picture=isinstance(self.parameterization, ContinuousEdm),
            )
        return self.placed(named)

    def __call__(
        self,
        x: Tensor,
        timestep: Tensor,
        conditions: Mapping[str, Tensor],
        *,
        residuals: Residuals | None = None,
        perturbation: str | None = None,
        attention: list[Tensor] | None = None,
    ) -> Tensor:
        """The raw prediction for rows of scaled latents (see `Network`)."""
        if self.begin is not None:
            self.begin(conditions)
        if "concat" in conditions:
            x = torch.cat([x, conditions["concat"]], dim=1)
        extra: dict[str, Any] = {}
        if "size" in conditions:
            coarse, fine = conditions["size"].float().chunk(2, dim=1)
            extra["added_cond_kwargs"] = {"text_embeds": conditions["pooled"], "time_ids": coarse + fine}
        if "class" in conditions:
            extra["class_labels"] = conditions["class"]
        if residuals is not None:
            extra |= self._additions(residuals)
        with ExitStack() as stack:
            stack.enter_context(self._switch.set(perturbation, attention))
            if residuals is not None and residuals.attention:
                stack.enter_context(addition_switch(self.module).set(residuals.attention))
            if residuals is not None and residuals.inputs:
                names = [name for additions in residuals.inputs for name in additions]
                stack.enter_context(input_switch(self.module, names).set(residuals.inputs))
            if residuals is not None and residuals.grounding is not None:
                stack.enter_context(grounding_switch(self.module).set(residuals.grounding.fusers))
                extra["cross_attention_kwargs"] = {"gligen": {"objs": residuals.grounding.tokens}}
            x = x.contiguous(memory_format=self.precision.memory_format)
            context = conditions["context"]
            if self.hooks:
                return walk(self.module, self.hooks, x, timestep, encoder_hidden_states=context, **extra)
            prediction: Tensor = self.module(
                x, timestep, encoder_hidden_states=context, return_dict=False, **extra
            )[0]
        return prediction

    def _pictured(self, entry: ConditioningEntry, scene: LatentScene) -> Tensor:
        """unCLIP's vector of what CLIP saw in the entry's pictures; zeros without any."""
        pictures, width = pictures_of(entry), self.module.config.projection_class_embeddings_input_dim
        if not pictures:
            return torch.zeros(1, width)
        return picture_vector(pictures, self.augmentor or plain_augmentor(width // 2), scene.seed)

    def _sized(self, entry: ConditioningEntry, scene: LatentScene) -> dict[str, Tensor]:
        """SDXL's pooled vector, and its sizes as coarse and fine halves, which a short dtype does not round away."""
        config = self.module.config
        count = SIZES[self.rule]
        wanted = config.projection_class_embeddings_input_dim - count * config.addition_time_embed_dim
        pooled, pictures = entry.pooled, pictures_of(entry)
        if pictures:
            pooled = picture_vector(pictures, plain_augmentor(wanted), scene.seed)[:, :wanted]
        if pooled is None or pooled.shape[-1] != wanted:
            found = "none" if pooled is None else f"one of {pooled.shape[-1]}"
            raise InputError(
                f"This model takes a pooled text vector of {wanted} values, but the conditioning has {found}; encode "
                "the prompt with the text encoder of the same model."
            )
        height, width = (side * self.latent_format.downscale for side in scene.latent.shape[-2:])
        given = entry.size or (height, width, 0, 0)
        score = NEGATIVE_REFINER_SCORE if scene.negative else REFINER_SCORE
        rest = (given[0], given[1]) if count == 6 else (score,)
        numbers = (*given[:4], *rest) if len(given) != count else given
        sizes = torch.tensor([numbers], dtype=torch.float32)
        coarse = sizes.to(self.dtype).float()
        return {"pooled": pooled, "size": torch.cat([coarse, sizes - coarse], dim=1)}

    def _additions(self, residuals: Residuals) -> dict[str, Any]:
        extra: dict[str, Any] = {}
        if residuals.down or residuals.mid is not None:
            nothing = torch.zeros(())
            skips = 1 + sum(
                len(block.resnets) + len(block.downsamplers or ()) for block in self.module.down_blocks
            )
            extra["down_block_additional_residuals"] = residuals.down or (nothing,) * skips
            extra["mid_block_additional_residual"] = nothing if residuals.mid is None else residuals.mid
        if residuals.intrablock:
            extra["down_intrablock_additional_residuals"] = list(residuals.intrablock)
        return extra


def _single(width: Any) -> int:
    return int(width[0] if isinstance(width, (list, tuple)) else width)
