"""Where things are and how to compute: the settings of one engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of one engine.

    `models_dirs` are folders in ComfyUI's layout (checkpoints/, loras/ ...), searched in order; `extra_folders`
    adds single folders by kind. `device` is "auto", "cpu", "cuda", "cuda:1" ...; `dtype` is "auto", "fp32",
    "bf16" or "fp16". `device_memory_bytes` is how much of the device's memory may be used (None: all of it):
    models that do not fit are streamed from the host's memory. `weights_budget_bytes` bounds what the model store
    keeps, `cache_bytes` the memory cache, `store_bytes` the persistent store in `data_dir` (there is none without one).
    With the `preview_method` "auto" previews are decoded by TAESD where its file is there, else by a matrix.
    """

    models_dirs: tuple[Path, ...] = ()
    extra_folders: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)
    input_dir: Path = Path("input")
    output_dir: Path = Path("output")
    temp_dir: Path | None = None
    data_dir: Path | None = None
    device: str = "auto"
    dtype: str = "auto"
    deterministic: bool = False
    preview_method: Literal["auto", "latent2rgb"] = "auto"
    metadata: bool = True
    device_memory_bytes: int | None = None
    weights_budget_bytes: int | None = None
    weights_idle_s: float = 900.0
    cache_bytes: int = 2 * 2**30
    store_bytes: int = 20 * 2**30
    threads: int = 4
