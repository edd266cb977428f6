"""What joins the text within a UNet's cross-attention, for the length of one forward pass.

Additions are set for one thread: networks are shared, and threads must not see each other's.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from diffusers.models.attention_processor import Attention
from torch import Tensor

from nodes.diffusion.network import AttentionAddition

_LOCK = threading.Lock()


class AdditionSwitch(threading.local):
    """The additions that the forward pass of this thread wants."""

    additions: Sequence[AttentionAddition] = ()

    @contextmanager
    def set(self, additions: Sequence[AttentionAddition]) -> Iterator[None]:
        """Make additions for the length of the block."""
        self.additions = additions
        try:
            yield
        finally:
            self.additions = ()


def addition_switch(module: Any) -> AdditionSwitch:
    """What switches additions of a UNet; its cross-attentions are prepared once, and do as before without any."""
    with _LOCK:
        layers = [name for name in module.attn_processors if name.endswith("attn2.processor")]
        switch = AdditionSwitch()
        for place, name in enumerate(layers):
            layer = module.get_submodule(name.removesuffix(".processor"))
            if isinstance(layer.processor, _Adding):
                return layer.processor.switch
            layer.set_processor(_Adding(layer.processor, switch, place))
        return switch


class _Adding:
    """An attention processor whose result others may add to; `place` is its layer's number among its kind."""

    def __init__(self, plain: Any, switch: AdditionSwitch, place: int) -> None:
        self.plain, self.switch, self.place = plain, switch, place

    def __call__(self, attn: Attention, hidden_states: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        attended: Tensor = self.plain(attn, hidden_states, *args, **kwargs)
        for addition in self.switch.additions:
            attended = attended + addition(self.place, attn, hidden_states)
        return attended


def attended_tokens(layer: Attention, hidden: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """What a layer's queries find among other keys and values (rows, tokens, width), before it is projected."""
    rows, heads = len(hidden), layer.heads

    def parted(tensor: Tensor) -> Tensor:
        return tensor.view(rows, -1, heads, tensor.shape[-1] // heads).transpose(1, 2)

    found = torch.nn.functional.scaled_dot_product_attention(
        parted(layer.to_q(hidden)), parted(keys), parted(values)
    )
    return found.transpose(1, 2).reshape(rows, hidden.shape[1], -1)
