"""Trainable low-rank layers (LoRA, Hu et al. 2021) beside the layers of a network that stays as it is.

    y = W x + (alpha / rank) up(down(x))

`up` starts at 0, so that training starts from the network itself. For convolutions, `down` has the layer's kernel and
`up` one of size 1 (LoCon, as kohya's trainer and LyCORIS write it).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from graphcore.errors import InputError

Layers = Literal["attention", "all"]
_ATTENTION_PARTS = ("transformer_blocks.", ".attentions.", "encoder.layers.", "joint_blocks.")


@dataclass(frozen=True, slots=True, kw_only=True)
class RankChoice:
    """The size of adapters: `alpha` over `rank` scales what they add; `layers` says beside which layers they stand."""

    rank: int
    alpha: float
    layers: Layers = "attention"


class LowRank(nn.Module):
    """The adapter of one linear or convolutional layer; its parameters are float32."""

    def __init__(self, layer: nn.Module, choice: RankChoice, stream: torch.Generator) -> None:
        super().__init__()
        weight: Tensor = layer.weight  # type: ignore[assignment]
        self.layer_options: dict[str, Any] | None = None
        shapes: tuple[tuple[int, ...], tuple[int, ...]]
        if isinstance(layer, nn.Conv2d):
            self.layer_options = {
                "stride": layer.stride,
                "padding": layer.padding,
                "dilation": layer.dilation,
            }
            shapes = (choice.rank, *weight.shape[1:]), (weight.shape[0], choice.rank, 1, 1)
        else:
            shapes = (choice.rank, weight.shape[1]), (weight.shape[0], choice.rank)
        bound = 1 / math.sqrt(math.prod(shapes[0][1:]))
        drawn = torch.rand(shapes[0], generator=stream) * 2 * bound - bound
        self.down = nn.Parameter(drawn.to(weight.device))
        self.up = nn.Parameter(torch.zeros(shapes[1], device=weight.device))
        self.scale = choice.alpha / choice.rank

    def forward(self, x: Tensor) -> Tensor:
        down, up = self.down.to(x.dtype), self.up.to(x.dtype)
        if self.layer_options is None:
            return functional.linear(functional.linear(x, down), up) * self.scale
        return functional.conv2d(functional.conv2d(x, down, **self.layer_options), up) * self.scale


def adapted_layers(module: nn.Module, layers: Layers) -> list[str]:
    """The names of the layers that get adapters, sorted: those of attention, or all with a matrix or kernel."""
    names = []
    for name, layer in module.named_modules():
        plain = isinstance(layer, nn.Linear) or (isinstance(layer, nn.Conv2d) and layer.groups == 1)
        inside = any(part in name for part in _ATTENTION_PARTS)
        if plain and (layers == "all" or inside) and "embed" not in name:
            names.append(name)
    return sorted(names)


def low_rank_adapters(module: nn.Module, choice: RankChoice, stream: torch.Generator) -> dict[str, LowRank]:
    """A fresh adapter for each chosen layer, by the layer's name; drawn from `stream` in the names' order.

    Raises InputError if the network has no such layer.
    """
    made = {
        name: LowRank(module.get_submodule(name), choice, stream)
        for name in adapted_layers(module, choice.layers)
    }
    if not made:
        raise InputError(
            "This network has no layer that an adapter could stand beside.", code="nothing-to-train"
        )
    return made


@contextmanager
def attached(module: nn.Module, adapters: Mapping[str, LowRank]) -> Iterator[None]:
    """Let the layers add what their adapters say, for the length of the block."""
    hooks = [
        module.get_submodule(name).register_forward_hook(_adding(adapter))
        for name, adapter in adapters.items()
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _adding(adapter: LowRank) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], Tensor]:
    def add(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        added: Tensor = adapter(inputs[0])
        return output + added

    return add


def parameters_of(adapters: Iterable[Mapping[str, LowRank]]) -> list[nn.Parameter]:
    """All trainable tensors, in a fixed order."""
    return [
        parameter
        for group in adapters
        for name in sorted(group)
        for parameter in (group[name].down, group[name].up)
    ]
