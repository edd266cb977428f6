"""What is added to what layers of a network take, for the length of one forward pass.

Additions are set for one thread: networks are shared, and threads must not see each other's.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from nodes.diffusion.network import InputAddition

_LOCK = threading.Lock()
_SWITCH = "_input_switch"


class InputSwitch(threading.local):
    """The additions that the forward pass of this thread wants, by the name of the layer."""

    def __init__(self) -> None:
        self.additions: Mapping[str, Sequence[InputAddition]] = {}

    @contextmanager
    def set(self, additions: Sequence[Mapping[str, InputAddition]]) -> Iterator[None]:
        """Make additions for the length of the block."""
        found: dict[str, list[InputAddition]] = {}
        for each in additions:
            for name, addition in each.items():
                found.setdefault(name, []).append(addition)
        self.additions = found
        try:
            yield
        finally:
            self.additions = {}


def input_switch(module: Any, names: Sequence[str]) -> InputSwitch:
    """What switches additions of a network; its layers of these names are prepared once, and do as before without."""
    with _LOCK:
        switch, prepared = module.__dict__.setdefault(_SWITCH, (InputSwitch(), set()))
        for name in names:
            if name not in prepared:
                prepared.add(name)
                _prepare(module.get_submodule(name), name, switch)
        found: InputSwitch = switch
        return found


def _prepare(layer: nn.Module, name: str, switch: InputSwitch) -> None:
    def added(layer: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...] | None:
        additions = switch.additions.get(name)
        if not additions:
            return None
        x: Tensor = given[0]
        total = x
        for addition in additions:
            total = total + addition(x)
        return (total, *given[1:])

    layer.register_forward_pre_hook(added)
