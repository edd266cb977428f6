"""In which dtype and memory format networks compute: the fastest that is safe on a device, unless it is set.

CPUs with AMX or AVX512-BF16 multiply bfloat16 natively: with channels last, a UNet runs about three times as fast as
in float32. Other CPUs emulate it and are slower, so they compute in float32.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch

from graphcore.errors import InputError

DtypeChoice = Literal["auto", "fp32", "bf16", "fp16"]
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True, slots=True, kw_only=True)
class Precision:
    """What to compute with: a dtype, and whether pictures are stored with channels last."""

    dtype: torch.dtype
    channels_last: bool = False

    @property
    def memory_format(self) -> torch.memory_format:
        """The memory format of four-dimensional tensors."""
        return torch.channels_last if self.channels_last else torch.contiguous_format


def choose_device(name: str = "auto") -> torch.device:
    """The device called `name`; "auto" is CUDA, else Apple's MPS, else the CPU. InputError if it is not there."""
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps") if torch.backends.mps.is_available() else torch.device("cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise InputError(f"There is no device called '{name}'; use auto, cpu, cuda or cuda:1.") from error
    counts = {"cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available()), "cpu": 1}
    if (device.index or 0) >= counts.get(device.type, 0):
        raise InputError(f"The device '{name}' is not there on this machine; use --device cpu.")
    return device


def choose_precision(device: torch.device, choice: str = "auto") -> Precision:
    """The precision for networks on a device. `choice` is auto, fp32, bf16 or fp16; InputError for another."""
    if choice != "auto":
        if choice not in DTYPES:
            raise InputError(f"'{choice}' is no dtype; use auto, {', '.join(DTYPES)}.")
        dtype = DTYPES[choice]
        return Precision(dtype=dtype, channels_last=_prefers_channels_last(device, dtype))
    if device.type == "cuda":
        dtype = torch.bfloat16 if torch.cuda.get_device_capability(device) >= (8, 0) else torch.float16
        return Precision(dtype=dtype, channels_last=True)
    if device.type == "mps":
        return Precision(dtype=torch.float16)
    if cpu_multiplies_bfloat16():
        return Precision(dtype=torch.bfloat16, channels_last=True)
    return Precision(dtype=torch.float32)


def text_precision(device: torch.device, chosen: Precision, choice: str) -> Precision:
    """Prompts are encoded once, so on CPUs in full precision unless another was asked for."""
    if device.type == "cpu" and choice == "auto":
        return Precision(dtype=torch.float32)
    return Precision(dtype=chosen.dtype)


def without_overflow(device: torch.device, chosen: Precision) -> Precision:
    """For networks that overflow in fp16 (SDXL's autoencoder, T5): bf16 or fp32 in its place."""
    if chosen.dtype != torch.float16:
        return chosen
    has_bf16 = device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)
    return Precision(dtype=torch.bfloat16 if has_bf16 else torch.float32, channels_last=has_bf16)


def cpu_multiplies_bfloat16() -> bool:
    """True if this CPU has instructions for bfloat16 products (AMX tiles or AVX512-BF16)."""
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("amx_bf16") or capabilities.get("avx512_bf16"))


def _prefers_channels_last(device: torch.device, dtype: torch.dtype) -> bool:
    if device.type == "cuda":
        return dtype != torch.float32
    return device.type == "cpu" and dtype == torch.bfloat16 and cpu_multiplies_bfloat16()
