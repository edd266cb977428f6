"""A UNet's forward pass step by step, so that something can be done between its blocks.

The same computation as the module's own; input blocks are counted as single files count them: 0 is the first
convolution, and every residual block and downsampler is one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


class BlockHook:
    """Something done between the blocks of a UNet; methods that are not overridden change nothing."""

    def begin(self, x: Tensor, timestep: Tensor) -> None:
        """Told of the latent (rows, channels, height, width) and the timesteps (rows,) before each pass."""

    def entered(self, h: Tensor, block: int) -> Tensor:
        """What leaves an input block, before it is kept as a skip."""
        return h

    def descended(self, h: Tensor, block: int) -> Tensor:
        """What leaves an input block, after it was kept."""
        return h

    def rejoined(self, h: Tensor, skip: Tensor) -> tuple[Tensor, Tensor]:
        """What enters an output block: the backbone, and the skip beside it."""
        return h, skip


@dataclass(slots=True)
class _Pass:
    """One pass while it lasts."""

    hooks: Sequence[BlockHook]
    emb: Tensor
    context: Any
    attention: Mapping[str, Any] | None
    skips: list[Tensor] = field(default_factory=list)

    def keep(self, h: Tensor) -> Tensor:
        """Keep what leaves an input block."""
        block = len(self.skips)
        for hook in self.hooks:
            h = hook.entered(h, block)
        self.skips.append(h)
        for hook in self.hooks:
            h = hook.descended(h, block)
        return h

    def layer(self, block: Any, index: int, h: Tensor) -> Tensor:
        """One residual block, and the attention after it if there is one."""
        h = block.resnets[index](h, self.emb)
        attentions = getattr(block, "attentions", None)
        return self.attended(attentions[index], h) if attentions else h

    def attended(self, attention: Any, h: Tensor) -> Tensor:
        """One transformer."""
        result: Tensor = attention(
            h,
            encoder_hidden_states=self.context,
            cross_attention_kwargs=self.attention,
            return_dict=False,
        )[0]
        return result

    def rejoin(self, h: Tensor) -> Tensor:
        """The backbone with the last skip beside it, at the skip's size."""
        skip = self.skips.pop()
        for hook in self.hooks:
            h, skip = hook.rejoined(h, skip)
        if h.shape[-2:] != skip.shape[-2:]:
            h = functional.interpolate(h, size=skip.shape[-2:], mode="nearest")
        return torch.cat([h, skip], dim=1)


def walk(
    module: Any,
    hooks: Sequence[BlockHook],
    sample: Tensor,
    timestep: Tensor,
    *,
    encoder_hidden_states: Any,
    added_cond_kwargs: Mapping[str, Any] | None = None,
    class_labels: Tensor | None = None,
    cross_attention_kwargs: Mapping[str, Any] | None = None,
    down_block_additional_residuals: Sequence[Tensor] | None = None,
    mid_block_additional_residual: Tensor | None = None,
    down_intrablock_additional_residuals: Sequence[Tensor] | None = None,
) -> Tensor:
    """What `module` (UNet2DConditionModel) gives for the arguments of its forward, with `hooks` between its blocks."""
    for hook in hooks:
        hook.begin(sample, timestep)
    emb = module.time_embedding(module.get_time_embed(sample=sample, timestep=timestep), None)
    labels = module.get_class_embed(sample=sample, class_labels=class_labels)
    emb = emb if labels is None else emb + labels
    more = module.get_aug_embed(
        emb=emb, encoder_hidden_states=encoder_hidden_states, added_cond_kwargs=added_cond_kwargs
    )
    context = module.process_encoder_hidden_states(
        encoder_hidden_states=encoder_hidden_states, added_cond_kwargs=added_cond_kwargs
    )
    run = _Pass(hooks, emb if more is None else emb + more, context, cross_attention_kwargs)
    h = _down(module, run, sample, list(down_intrablock_additional_residuals or ()))
    if down_block_additional_residuals is not None:
        run.skips = [
            skip + added for skip, added in zip(run.skips, down_block_additional_residuals, strict=True)
        ]
    h = _middle(module.mid_block, run, h)
    if mid_block_additional_residual is not None:
        h = h + mid_block_additional_residual
    for block in module.up_blocks:
        for index in range(len(block.resnets)):
            h = run.layer(block, index, run.rejoin(h))
        for upsampler in block.upsamplers or ():
            h = upsampler(h, tuple(run.skips[-1].shape[-2:]))
    result: Tensor = module.conv_out(module.conv_act(module.conv_norm_out(h)))
    return result


def _down(module: Any, run: _Pass, sample: Tensor, adapted: list[Tensor]) -> Tensor:
    h = run.keep(module.conv_in(sample))
    for block in module.down_blocks:
        inside = bool(getattr(block, "attentions", None))
        last = len(block.resnets) - 1
        for index in range(len(block.resnets)):
            h = run.layer(block, index, h)
            if inside and index == last and adapted:
                h = h + adapted.pop(0)
            h = run.keep(h)
        for downsampler in block.downsamplers or ():
            h = run.keep(downsampler(h))
        if not inside and adapted:
            h = run.skips[-1] = h + adapted.pop(0)
    return h


def _middle(block: Any, run: _Pass, h: Tensor) -> Tensor:
    if block is None:
        return h
    h = block.resnets[0](h, run.emb)
    for attention, resnet in zip(block.attentions, block.resnets[1:], strict=True):
        h = run.attended(attention, h) if attention is not None else h
        h = resnet(h, run.emb)
    return h
