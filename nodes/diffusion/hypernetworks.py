"""Hypernetworks: small networks on the way to keys and values of attention (NovelAI 2022; AUTOMATIC1111's files).

Files are safetensors: `{width}.{0 for keys, 1 for values}.linear.{index}.{weight or bias}`, and in the metadata
`activation_func`, `activate_output` and `is_layer_norm`; `graphcore convert-checkpoint` makes them of pickles.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from graphcore.errors import InputError, ModelFileError
from nodes.diffusion.safetensors_header import Header, read_header
from nodes.diffusion.weights import read_tensor

_NAME: Final = re.compile(r"(\d{2,5})\.([01])\.linear\.(\d{1,3})\.(weight|bias)\Z")
_ACTIVATIONS: Final[Mapping[str, type[nn.Module] | None]] = {
    "linear": None,
    "none": None,
    "relu": nn.ReLU,
    "leakyrelu": nn.LeakyReLU,
    "elu": nn.ELU,
    "swish": nn.Hardswish,
    "hardswish": nn.Hardswish,
    "silu": nn.SiLU,
    "gelu": nn.GELU,
    "mish": nn.Mish,
    "softsign": nn.Softsign,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HypernetworkFile:
    """An opened file, read up to its header: the widths of text or pictures that it changes, and its layers' names."""

    header: Header
    layers: Mapping[int, tuple[Mapping[int, tuple[str, ...]], ...]]
    activation: type[nn.Module] | None
    activates_output: bool

    @property
    def widths(self) -> frozenset[int]:
        """The widths that it changes."""
        return frozenset(self.layers)

    def network(self, width: int, side: int) -> nn.Module:
        """The network for keys (side 0) or values (1) of a width."""
        layers: list[nn.Module] = []
        indices = sorted(self.layers[width][side])
        last = max(index for index in indices if len(self._shape(width, side, index)) == 2)
        for index in indices:
            layers.append(self._layer(width, side, index))
            is_linear = isinstance(layers[-1], nn.Linear)
            if is_linear and self.activation is not None and (index != last or self.activates_output):
                layers.append(self.activation())
        return nn.Sequential(*layers).requires_grad_(False).eval()

    def _shape(self, width: int, side: int, index: int) -> tuple[int, ...]:
        return self.header.tensors[f"{width}.{side}.linear.{index}.weight"].shape

    def _layer(self, width: int, side: int, index: int) -> nn.Module:
        prefix = f"{width}.{side}.linear.{index}"
        tensors = {
            name: read_tensor(self.header, f"{prefix}.{name}").float()
            for name in self.layers[width][side][index]
        }
        shape = tensors["weight"].shape
        with torch.device("meta"):
            layer = (
                nn.Linear(shape[1], shape[0], bias="bias" in tensors)
                if len(shape) == 2
                else nn.LayerNorm(shape[0])
            )
        layer.load_state_dict(tensors, assign=True)
        return layer


def open_hypernetwork(path: Path) -> HypernetworkFile:
    """Open a hypernetwork, reading its header only; raises ModelFileError if it is none."""
    header = read_header(path)
    layers: dict[int, tuple[dict[int, tuple[str, ...]], ...]] = {}
    for name, info in header.tensors.items():
        found = _NAME.match(name)
        if found is None or len(info.shape) not in (1, 2):
            raise _damaged(path, f"it holds '{name[:60]}'")
        width, side, index = int(found.group(1)), int(found.group(2)), int(found.group(3))
        sides = layers.setdefault(width, ({}, {}))
        sides[side][index] = (*sides[side].get(index, ()), found.group(4))
    complete = all(
        side and all("weight" in names for names in side.values())
        for sides in layers.values()
        for side in sides
    )
    if not layers or not complete:
        raise _damaged(path, "layers are missing")
    name = header.metadata.get("activation_func", "linear").lower()
    if name not in _ACTIVATIONS:
        known = ", ".join(_ACTIVATIONS)
        raise ModelFileError(
            f"The hypernetwork {path.name} has the activation {ascii(name)[:40]}; {known} are known.",
            code="hypernetwork",
            location=path.name,
        )
    return HypernetworkFile(
        header=header,
        layers=layers,
        activation=_ACTIVATIONS[name],
        activates_output=header.metadata.get("activate_output", "").lower() == "true",
    )


def _damaged(path: Path, why: str) -> ModelFileError:
    return ModelFileError(
        f"{path.name} is no hypernetwork ({why}); choose another file.",
        code="hypernetwork",
        location=path.name,
    )


class Projected(nn.Module):
    """The way to keys or values, with a network before it: projection(x + strength * network(x))."""

    def __init__(self, projection: nn.Module, network: nn.Module, strength: float) -> None:
        super().__init__()
        self.projection = projection
        self.network = network
        self.strength = strength

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.projection(x + self.strength * self.network(x))
        return result


def install(module: Any, file: HypernetworkFile, strength: float) -> None:
    """Put a hypernetwork into every attention of a UNet that nobody else uses.

    Raises InputError if it changes no width that the UNet has.
    """
    found = False
    like = next(module.parameters())
    for block in list(module.modules()):
        if type(block).__name__ != "Attention":
            continue
        width = _width(block.to_k)
        if width not in file.widths:
            continue
        found = True
        for name, side in (("to_k", 0), ("to_v", 1)):
            network = file.network(width, side).to(like.device, like.dtype)
            setattr(block, name, Projected(getattr(block, name), network, strength))
    if not found:
        raise InputError(
            f"The hypernetwork {file.header.path.name} changes text of other widths than this model reads; choose one "
            "made for this family.",
            code="wrong-family",
        )


def _width(projection: Any) -> int:
    while isinstance(projection, Projected):
        projection = projection.projection
    return int(projection.in_features)
