"""State dicts in the original layout: pruned, averaged weights taken, cast, and written with their metadata."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from graphcore.errors import ModelFileError
from nodes.diffusion.part import EMA_PREFIX
from nodes.diffusion.safetensors_header import read_header

DTYPES: Final[Mapping[str, torch.dtype]] = {
    "fp32": torch.float32,
    "fp16": torch.float16,
    "bf16": torch.bfloat16,
}
_NETWORK: Final = "model.diffusion_model."
_KEPT: Final = (
    _NETWORK,
    "first_stage_model.",
    "cond_stage_model.",
    "conditioner.",
    "text_encoders.",
    "embedder.",
)
_SCHEDULE_SUFFIXES: Final = ("loss.", "logvar")


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What to do with a checkpoint's tensors. `ema` takes the averaged network in place of the last one."""

    dtype: str | None = None
    prune: bool = False
    ema: bool = False


def read_state(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, mapped."""
    read_header(path)
    return load_file(path)


def changed(state: Mapping[str, Tensor], changes: Changes, name: str) -> dict[str, Tensor]:
    """A checkpoint's tensors with the changes made; raises ModelFileError if it has no averaged weights to take."""
    result = dict(state)
    if changes.ema:
        result = _averaged(result, name)
    if changes.prune:
        result = _pruned(result)
    if changes.dtype is not None:
        wanted = DTYPES[changes.dtype]
        result = {
            key: value.to(wanted) if value.is_floating_point() else value for key, value in result.items()
        }
    return result


def _averaged(state: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    flat = {
        EMA_PREFIX + key.removeprefix(_NETWORK).replace(".", ""): key
        for key in state
        if key.startswith(_NETWORK)
    }
    found = {key: state[average] for average, key in flat.items() if average in state}
    if not found:
        raise ModelFileError(
            f"'{name}' holds no averaged (EMA) weights; leave out --ema.",
            code="model-file-part",
            location=name,
        )
    missing = [key for average, key in flat.items() if average not in state]
    if missing:
        raise ModelFileError(
            f"The averaged weights of '{name}' lack {missing[0]} and {len(missing) - 1} more; leave out --ema.",
            code="model-file-part",
            location=name,
        )
    kept = {key: value for key, value in state.items() if not key.startswith("model_ema.")}
    return kept | found


def _pruned(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Only what is needed to draw: no averaged copy, no optimizer, no schedule tables, no training loss."""
    if not any(key.startswith(_NETWORK) for key in state):
        return state
    return {
        key: value
        for key, value in state.items()
        if (key.startswith(_KEPT) and not any(f".{part}" in key for part in _SCHEDULE_SUFFIXES))
        or key in ("v_pred", "ztsnr")
    }


def write_state(state: Mapping[str, Tensor], path: Path, metadata: Mapping[str, str]) -> None:
    """Write tensors as safetensors, aside first; tensors that share memory are written once each."""
    aside = path.with_name(f".{path.name}.part")
    owned: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, tensor in state.items():
        tensor = tensor.contiguous()
        address = tensor.untyped_storage().data_ptr()
        whole = tensor.untyped_storage().nbytes() == tensor.nbytes
        owned[name] = tensor.clone() if address in seen or not whole else tensor
        seen.add(address)
    try:
        save_file(owned, aside, metadata=dict(metadata) or None)
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
