"""The part of `comfy.model_management` that asks for memory, and frees it.

Weights are leased by the model store, so that loading and freeing by hand have little to do here.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterable
from typing import Any

from nodes.packs.host import running
from nodes.packs.shims.devices import get_torch_device


def get_total_memory(dev: Any = None, torch_total_too: bool = False) -> Any:
    """The bytes of memory that a device has."""
    import torch

    device = get_torch_device() if dev is None else torch.device(dev)
    if device.type == "cuda":
        total = int(torch.cuda.get_device_properties(device).total_memory)
    else:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return (total, total) if torch_total_too else total


def get_free_memory(dev: Any = None, torch_free_too: bool = False) -> Any:
    """The bytes of memory that a device has left."""
    import torch

    device = get_torch_device() if dev is None else torch.device(dev)
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return (free + held, held) if torch_free_too else free + held
    import psutil

    free = int(psutil.virtual_memory().available)
    return (free, free) if torch_free_too else free


def soft_empty_cache(force: bool = False) -> None:
    """Give memory that torch keeps for later back to the device."""
    import torch

    del force
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def unload_all_models() -> None:
    """Drop all weights that nobody uses."""
    from nodes.diffusion.store import ModelStore

    run = running()
    if run is not None:
        run.context.service(ModelStore).release()
    gc.collect()


def free_memory(memory_required: float, device: Any, keep_loaded: Iterable[Any] = ()) -> list[Any]:
    """Drop weights that nobody uses; the model store makes room by itself when it needs some."""
    del memory_required, device, keep_loaded
    unload_all_models()
    return []


def cleanup_models(*args: object) -> None:
    """Nothing to do: the model store drops what is not used."""
    del args


cleanup_models_gc = cleanup_models
cleanup_ggml = cleanup_models


def load_models_gpu(models: Iterable[Any], memory_required: float = 0, **options: object) -> None:
    """Nothing to do: weights are leased when they are computed with."""
    del models, memory_required, options


def load_model_gpu(model: Any) -> None:
    """Nothing to do: weights are leased when they are computed with."""
    del model


def loaded_models(only_currently_used: bool = False) -> list[Any]:
    """None: packs hold no weights of ours."""
    del only_currently_used
    return []


def minimum_inference_memory() -> int:
    """The bytes that should be free before work begins."""
    return 2**30


def maximum_vram_for_weights(device: Any = None) -> int:
    """The bytes that weights may take on a device."""
    return int(get_total_memory(device) * 0.85)


extra_reserved_memory = minimum_inference_memory
