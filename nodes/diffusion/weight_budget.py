"""How many bytes weights may take on a device, and how many they do."""

from __future__ import annotations

import os
from typing import Final

import torch
from torch import nn

CPU_SHARE: Final = 0.5
WEIGHT_SHARE: Final = 0.7
"""The share of a small device's memory that weights may take; the rest is for what they compute."""
LARGE_SHARE: Final = 0.85
LARGE_DEVICE: Final = 16 * 2**30


def default_budget(device: torch.device, device_memory: int | None = None) -> int:
    """Half of the machine's memory, or what a GPU, or so much of a device's memory, leaves for weights."""
    if device_memory is not None:
        return weights_room(device_memory)
    if device.type == "cuda":
        return weights_room(torch.cuda.get_device_properties(device).total_memory)
    return int(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * CPU_SHARE)


def weights_room(memory_bytes: int) -> int:
    """How many bytes of weights a device with so much memory holds beside what they compute."""
    return int(memory_bytes * (LARGE_SHARE if memory_bytes >= LARGE_DEVICE else WEIGHT_SHARE))


def module_bytes(module: nn.Module) -> int:
    """The bytes of a module's parameters and buffers."""
    return sum(tensor.nbytes for tensor in module.state_dict().values())
