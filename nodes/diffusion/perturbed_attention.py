"""Self-attention in a UNet's middle block that guidance perturbs or looks into, thread by thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from diffusers.models.attention_processor import Attention, AttnProcessor2_0
from torch import Tensor

from graphcore.errors import InputError

PERTURBATIONS = ("pag:mid", "map:mid")


def perturbable(module: Any) -> Switch:
    """Make a UNet's self-attention in the middle block perturbable, once; what switches it."""
    blocks = [
        block for each in getattr(module.mid_block, "attentions", ()) for block in each.transformer_blocks
    ]
    switch = Switch()
    for block in blocks:
        if isinstance(block.attn1.processor, _PerturbedAttention):
            return block.attn1.processor.switch
        block.attn1.set_processor(_PerturbedAttention(switch))
    return switch


class Switch(threading.local):
    """Which perturbation the forward pass of this thread wants, and where its map of attention is put."""

    identity = False
    attention: list[Tensor] | None = None

    def __reduce__(self) -> tuple[type[Switch], tuple[()]]:
        """A copy of a network gets a switch of its own, off."""
        return Switch, ()

    @contextmanager
    def set(self, perturbation: str | None, attention: list[Tensor] | None) -> Iterator[None]:
        """Switch for the length of the block; raises InputError for perturbations that UNets do not know."""
        if perturbation not in (None, *PERTURBATIONS):
            known = " and ".join(f"'{name}'" for name in PERTURBATIONS)
            raise InputError(f"This model knows no perturbation '{perturbation}'; it has {known}.")
        self.identity, self.attention = perturbation == "pag:mid", attention
        try:
            yield
        finally:
            self.identity, self.attention = False, None


class _PerturbedAttention(AttnProcessor2_0):  # type: ignore[misc]
    """Self-attention that can be told to look only at itself (Ahn et al. 2024, perturbed-attention guidance), or to
    tell how much each place is attended to (Hong et al. 2022, self-attention guidance).
    """

    def __init__(self, switch: Switch) -> None:
        super().__init__()
        self.switch = switch

    def __call__(self, attn: Attention, hidden_states: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if self.switch.identity:
            values: Tensor = attn.to_out[0](attn.to_v(hidden_states))
            return values
        if self.switch.attention is not None and not self.switch.attention:
            self.switch.attention.append(_attended(attn, hidden_states))
        attended: Tensor = super().__call__(attn, hidden_states, *args, **kwargs)
        return attended


def _attended(attn: Attention, hidden_states: Tensor) -> Tensor:
    """How much each token is attended to in all, on average over heads: (rows, tokens), float32."""
    query, key = (attn.head_to_batch_dim(project(hidden_states)) for project in (attn.to_q, attn.to_k))
    scores: Tensor = attn.get_attention_scores(query, key).float()
    return scores.reshape(len(hidden_states), attn.heads, *scores.shape[1:]).mean(dim=1).sum(dim=1)
