"""`node_helpers`: small things that ComfyUI's own nodes share."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


def conditioning_set_values(
    conditioning: list[Any], values: Mapping[str, Any] | None = None, append: bool = False
) -> list[list[Any]]:
    """A conditioning with these values in the dictionaries of its entries; `append` adds to lists that are there."""
    changed = []
    for embeddings, options in conditioning:
        told = dict(options)
        for name, value in (values or {}).items():
            before = told.get(name)
            told[name] = before + value if append and before is not None else value
        changed.append([embeddings, told])
    return changed


def conditioning_set_values_with_timestep_range(
    conditioning: list[Any],
    values: Mapping[str, Any] | None = None,
    start_percent: float = 0.0,
    end_percent: float = 1.0,
) -> list[list[Any]]:
    """As `conditioning_set_values`, for entries that act within a part of the schedule; others stay as they are."""
    changed: list[list[Any]] = []
    for embeddings, options in conditioning:
        start, end = options.get("start_percent", 0.0), options.get("end_percent", 1.0)
        low, high = max(start, start_percent), min(end, end_percent)
        if low >= high:
            changed.append([embeddings, dict(options)])
            continue
        bounds = ((start, low, False), (low, high, True), (high, end, False))
        for first, last, applies in bounds:
            if first < last:
                told = {**options, "start_percent": first, "end_percent": last}
                changed.append([embeddings, {**told, **(values or {})} if applies else told])
    return changed


def pillow(fn: Callable[..., Any], arg: Any) -> Any:
    """What a Pillow function says of a file, also of one that is cut off."""
    from PIL import ImageFile

    try:
        return fn(arg)
    except (OSError, ValueError):
        before = ImageFile.LOAD_TRUNCATED_IMAGES
        ImageFile.LOAD_TRUNCATED_IMAGES = True
        try:
            return fn(arg)
        finally:
            ImageFile.LOAD_TRUNCATED_IMAGES = before


def hasher() -> Callable[..., Any]:
    """The function that files are digested with."""
    return hashlib.sha256


def string_to_torch_dtype(string: str) -> Any:
    """The dtype called "fp32", "fp16" or "bf16"; None for another name."""
    import torch

    return {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}.get(string)


def image_alpha_fix(destination: Tensor, source: Tensor) -> tuple[Tensor, Tensor]:
    """Two batches of pictures with the same number of channels."""
    from torch.nn import functional

    if destination.shape[-1] < source.shape[-1]:
        source = source[..., : destination.shape[-1]]
    elif destination.shape[-1] > source.shape[-1]:
        source = functional.pad(source, (0, 1), value=1.0)
    return destination, source


def tensor_to_pil(image: Tensor) -> Any:
    """A picture (height, width, channels), or the first of a batch, as a Pillow image."""
    from nodes.diffusion.pictures import to_pillow

    return to_pillow(image[0] if image.ndim == 4 else image)
