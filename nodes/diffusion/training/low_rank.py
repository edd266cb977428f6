"""Trainable adapters beside the layers of a network that stays as it is.

    LoRA:  y = W x + (alpha / rank) up(down(x))                        (Hu et al. 2021)
    LoHa:  y = W x + (alpha / rank) ((w1a w1b) * (w2a w2b)) x          (Hyeon-Woo et al. 2022, FedPara)
    LoKr:  y = W x + (alpha / rank) kron(w1, w2a w2b) x                (Yeh et al. 2023, LyCORIS)

One factor starts at 0, so that training starts from the network itself. For convolutions `down` has the layer's kernel
and `up` one of size 1 (LoCon, as kohya's trainer and LyCORIS write it).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from graphcore.errors import InputError
from nodes.diffusion.streaming import streaming_of

Layers = Literal["attention", "all"]
Algorithm = Literal["LoRA", "LoHa", "LoKr"]
_ATTENTION_PARTS = ("transformer_blocks.", ".attentions.", "encoder.layers.", "joint_blocks.")


@dataclass(frozen=True, slots=True, kw_only=True)
class RankChoice:
    """The size of adapters: `alpha` over `rank` scales what they add; `layers` says beside which layers they stand."""

    rank: int
    alpha: float
    layers: Layers = "attention"
    algorithm: Algorithm = "LoRA"


class LayerAdapter(nn.Module):
    """The adapter of one linear or convolutional layer; its parameters are float32, by the names that files use."""

    def __init__(self, layer: nn.Module, choice: RankChoice) -> None:
        super().__init__()
        weight: Tensor = layer.weight  # type: ignore[assignment]
        self.shape = tuple(weight.shape)
        self.device = weight.device
        self.rank = choice.rank
        self.scale = choice.alpha / choice.rank
        self.layer_options: dict[str, Any] | None = None
        if isinstance(layer, nn.Conv2d):
            self.layer_options = {
                "stride": layer.stride,
                "padding": layer.padding,
                "dilation": layer.dilation,
            }
        self.tensors = nn.ParameterDict()

    def add(self, name: str, tensor: Tensor) -> None:
        """One more trainable tensor, by the name that files use."""
        self.tensors[name] = nn.Parameter(tensor.to(self.device))

    def delta(self) -> Tensor:
        """What is added to the layer's weight, of its shape, before scaling."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        added = (self.delta() * self.scale).to(x.dtype)
        if self.layer_options is None:
            return functional.linear(x, added)
        return functional.conv2d(x, added, **self.layer_options)


class LowRank(LayerAdapter):
    """LoRA: its delta never stands in memory."""

    def __init__(self, layer: nn.Module, choice: RankChoice, stream: torch.Generator) -> None:
        super().__init__(layer, choice)
        rank, kernel = choice.rank, self.shape[2:]
        down = (rank, *self.shape[1:])
        bound = 1 / math.sqrt(math.prod(down[1:]))
        self.add("lora_down", torch.rand(down, generator=stream) * 2 * bound - bound)
        self.add("lora_up", torch.zeros(self.shape[0], rank, *(1 for _ in kernel)))

    @property
    def down(self) -> Tensor:
        """From the layer's input to the rank."""
        down: Tensor = self.tensors["lora_down"]
        return down

    @property
    def up(self) -> Tensor:
        """From the rank to the layer's output."""
        up: Tensor = self.tensors["lora_up"]
        return up

    def forward(self, x: Tensor) -> Tensor:
        down, up = self.down.to(x.dtype), self.up.to(x.dtype)
        if self.layer_options is None:
            return functional.linear(functional.linear(x, down), up) * self.scale
        return functional.conv2d(functional.conv2d(x, down, **self.layer_options), up) * self.scale


class HadamardProduct(LayerAdapter):
    """LoHa: two low-rank matrices, multiplied place by place."""

    def __init__(self, layer: nn.Module, choice: RankChoice, stream: torch.Generator) -> None:
        super().__init__(layer, choice)
        rows, columns, rank = self.shape[0], math.prod(self.shape[1:]), choice.rank
        self.add("hada_w1_a", torch.randn(rows, rank, generator=stream) * 0.1)
        self.add("hada_w1_b", torch.randn(rank, columns, generator=stream))
        self.add("hada_w2_a", torch.zeros(rows, rank))
        self.add("hada_w2_b", torch.randn(rank, columns, generator=stream))

    def delta(self) -> Tensor:
        first: Tensor = self.tensors["hada_w1_a"] @ self.tensors["hada_w1_b"]
        second = self.tensors["hada_w2_a"] @ self.tensors["hada_w2_b"]
        product: Tensor = (first * second).reshape(self.shape)
        return product


class KroneckerProduct(LayerAdapter):
    """LoKr: a small matrix, each of whose places is a low-rank matrix."""

    def __init__(self, layer: nn.Module, choice: RankChoice, stream: torch.Generator) -> None:
        super().__init__(layer, choice)
        (outer_rows, rows), (outer_columns, columns) = factors(self.shape[0]), factors(self.shape[1])
        inner = columns * math.prod(self.shape[2:])
        self._inner = (rows, columns, *self.shape[2:])
        self.add(
            "lokr_w1", torch.randn(outer_rows, outer_columns, generator=stream) / math.sqrt(outer_columns)
        )
        self.add("lokr_w2_a", torch.zeros(rows, choice.rank))
        self.add("lokr_w2_b", torch.randn(choice.rank, inner, generator=stream) / math.sqrt(inner))

    def delta(self) -> Tensor:
        first = self.tensors["lokr_w1"]
        second = (self.tensors["lokr_w2_a"] @ self.tensors["lokr_w2_b"]).reshape(self._inner)
        return torch.kron(first.reshape(*first.shape, *(1 for _ in self._inner[2:])), second)


_KINDS: Final[Mapping[Algorithm, Callable[[nn.Module, RankChoice, torch.Generator], LayerAdapter]]] = {
    "LoRA": LowRank,
    "LoHa": HadamardProduct,
    "LoKr": KroneckerProduct,
}


def factors(size: int) -> tuple[int, int]:
    """Two numbers whose product is `size`, as near to each other as can be, the smaller first."""
    first = next(number for number in range(math.isqrt(size), 0, -1) if size % number == 0)
    return first, size // first


def adapted_layers(module: nn.Module, layers: Layers) -> list[str]:
    """The names of the layers that get adapters, sorted: those of attention, or all with a matrix or kernel."""
    names = []
    for name, layer in module.named_modules():
        plain = isinstance(layer, nn.Linear) or (isinstance(layer, nn.Conv2d) and layer.groups == 1)
        inside = any(part in name for part in _ATTENTION_PARTS)
        if plain and (layers == "all" or inside) and "embed" not in name:
            names.append(name)
    return sorted(names)


def fresh_adapters(module: nn.Module, choice: RankChoice, stream: torch.Generator) -> dict[str, LayerAdapter]:
    """A fresh adapter for each chosen layer, by the layer's name; drawn from `stream` in the names' order.

    Raises InputError if the network has no such layer.
    """
    make = _KINDS[choice.algorithm]
    made = {
        name: make(module.get_submodule(name), choice, stream)
        for name in adapted_layers(module, choice.layers)
    }
    streaming = streaming_of(module)
    if streaming is not None:
        for adapter in made.values():
            adapter.to(streaming.device)
    if not made:
        raise InputError(
            "This network has no layer that an adapter could stand beside.", code="nothing-to-train"
        )
    return made


@contextmanager
def attached(module: nn.Module, adapters: Mapping[str, LayerAdapter]) -> Iterator[None]:
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


def _adding(adapter: LayerAdapter) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], Tensor]:
    def add(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        added: Tensor = adapter(inputs[0])
        return output + added

    return add


def parameters_of(adapters: Iterable[Mapping[str, LayerAdapter]]) -> list[nn.Parameter]:
    """All trainable tensors, in a fixed order."""
    return [
        parameter
        for group in adapters
        for name in sorted(group)
        for _, parameter in sorted(group[name].tensors.items())
    ]
