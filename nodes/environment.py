"""What can change a result of these nodes from one machine or installation to another. Imports no torch."""

from __future__ import annotations

import platform
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from graphcore.settings import Settings

_PACKAGES: Final = ("torch", "diffusers", "transformers")
_MATTERS: Final = frozenset({"amx_bf16", "avx512_bf16", "avx512f", "avx2"})


def describe(settings: Settings) -> Mapping[str, str]:
    """The versions of the libraries that compute, the kind of device, and what its arithmetic depends on."""
    found = {name: _version(name) for name in _PACKAGES}
    kind = device_kind(settings.device)
    found["device_kind"] = kind
    found["machine"] = platform.machine()
    if kind == "cpu":
        found["cpu"] = " ".join(sorted(_MATTERS & cpu_flags()))
    return found


def device_kind(device: str) -> str:
    """The kind of device that a setting means ("cpu", "cuda", "mps"), told without torch."""
    if device != "auto":
        return device.partition(":")[0]
    if sys.platform == "darwin" and platform.machine() == "arm64":
        return "mps"
    return "cuda" if Path("/dev/nvidiactl").exists() else "cpu"


def cpu_flags() -> frozenset[str]:
    """The processor's features, as Linux lists them; empty elsewhere."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return frozenset()
    line = next((line for line in text.splitlines() if line.startswith(("flags", "Features"))), "")
    return frozenset(line.partition(":")[2].split())


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"
