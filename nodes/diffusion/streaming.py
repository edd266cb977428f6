"""Networks larger than the device's memory: layers wait in the host's memory, and each comes over when it computes.

Layers stay on the device as far as a budget allows, small ones first; of the others one at a time is there. Results are
the same to the last bit. A streamed network may be called from several threads at once: each call has its own copy of a
layer.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import torch
from torch import Tensor, nn

from graphcore.errors import ResourceError

_ATTRIBUTE: Final = "graphcore_streaming"


@dataclass(slots=True, eq=False)
class Residency:
    """Counts the bytes of streamed layers that are on the device, now and at most."""

    now: int = 0
    peak: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def holding(self, size: int) -> Iterator[None]:
        """So many bytes more for the length of the block."""
        with self._lock:
            self.now += size
            self.peak = max(self.peak, self.now)
        try:
            yield
        finally:
            with self._lock:
                self.now -= size


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Streaming:
    """How a network is streamed: onto which device, which layers stay there, and what that takes in bytes."""

    device: torch.device
    resident: frozenset[str]
    resident_bytes: int
    streamed_bytes: int
    largest: int
    residency: Residency = field(default_factory=Residency)

    @property
    def device_bytes(self) -> int:
        """What is on the device at most, with one caller."""
        return self.resident_bytes + self.largest


def planned(module: nn.Module, device: torch.device, room: int) -> Streaming:
    """Which layers of a network stay on a device with room for so many bytes of weights.

    Raises ResourceError if not even its largest layer, and what has to stay, fits.
    """
    sizes = {name: _bytes(layer) for name, layer in _leaves(module)}
    order = sorted(sizes, key=lambda name: (sizes[name], name))
    first = next(iter(sizes))
    held = _loose_bytes(module) + sizes[first]
    resident = {first}
    for place, name in enumerate(order):
        if name in resident:
            continue
        largest = sizes[order[-1]] if place < len(order) - 1 else 0
        if held + sizes[name] + largest > room:
            break
        resident.add(name)
        held += sizes[name]
    waiting = [name for name in order if name not in resident]
    largest = max((sizes[name] for name in waiting), default=0)
    if held + largest > room:
        raise ResourceError(
            f"The model's largest layers take {_mebi(held + largest)} MiB, and there is room for {_mebi(room)}; allow "
            "more device memory (--device-memory), or use --device cpu.",
            code="out-of-memory",
        )
    return Streaming(
        device=device,
        resident=frozenset(resident),
        resident_bytes=held,
        streamed_bytes=sum(sizes[name] for name in waiting),
        largest=largest,
    )


def stream(module: nn.Module, streaming: Streaming) -> nn.Module:
    """Let a network on the host compute on a device, as planned; the module itself is changed, its tensors are not."""
    for name, layer in list(_leaves(module)):
        if name in streaming.resident:
            layer.to(streaming.device)
        else:
            if streaming.device.type == "cuda":
                _pin(layer)
            layer.forward = _Streamed(layer, streaming)
    for owner in module.modules():
        if _has_children(owner):
            _move_own(owner, streaming.device)
    setattr(module, _ATTRIBUTE, streaming)
    return module


def streaming_of(module: nn.Module) -> Streaming | None:
    """How a network is streamed, or None if it is not."""
    return getattr(module, _ATTRIBUTE, None)


class _Streamed:
    """The forward pass of a layer that waits on the host."""

    def __init__(self, layer: nn.Module, streaming: Streaming) -> None:
        self._layer = layer
        self._streaming = streaming

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        layer, device = self._layer, self._streaming.device
        with self._streaming.residency.holding(_bytes(layer)):
            live = copy.copy(layer)
            live._parameters = _on(layer._parameters, device)
            live._buffers = _on(layer._buffers, device)
            return type(layer).forward(live, *arguments, **named)


def _on(tensors: Mapping[str, Tensor | None], device: torch.device) -> dict[str, Any]:
    return {
        name: None if tensor is None else tensor.to(device, copy=True, non_blocking=True)
        for name, tensor in tensors.items()
    }


def _leaves(module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The layers with tensors of their own and none below them."""
    for name, layer in module.named_modules():
        if not _has_children(layer) and _bytes(layer):
            yield name, layer


def _has_children(layer: nn.Module) -> bool:
    return next(layer.children(), None) is not None


def _bytes(layer: nn.Module) -> int:
    own = (*layer._parameters.values(), *layer._buffers.values())
    return sum(tensor.nbytes for tensor in own if tensor is not None)


def _loose_bytes(module: nn.Module) -> int:
    """The bytes of tensors that stand beside layers, not in one."""
    return sum(_bytes(owner) for owner in module.modules() if _has_children(owner))


def _move_own(owner: nn.Module, device: torch.device) -> None:
    """Move the tensors that stand right in a module, not those of its layers."""
    for name, tensor in owner._parameters.items():
        if tensor is not None:
            owner._parameters[name] = nn.Parameter(tensor.to(device), requires_grad=False)
    for name, buffer in owner._buffers.items():
        if buffer is not None:
            owner._buffers[name] = buffer.to(device)


def _pin(layer: nn.Module) -> None:
    """Put a layer's tensors where the device fetches them fastest."""
    for name, tensor in layer._parameters.items():
        if tensor is not None and not tensor.is_pinned():
            layer._parameters[name] = nn.Parameter(tensor.pin_memory(), requires_grad=False)


def _mebi(size: int) -> int:
    return -(-size // 2**20)
