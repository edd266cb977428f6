"""Reads pickled weights without running what is in them.

torch unpickles with an allow-list (`weights_only`). Training checkpoints of PyTorch Lightning also name its callback
classes; those are replaced by empty stand-ins. Anything else that a pickle wants is refused by name.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from graphcore.errors import ModelFileError

_STAND_INS: Final = ("pytorch_lightning.", "lightning.", "lightning_fabric.", "lightning_utilities.")
_WRAPPERS: Final = (
    "state_dict",
    "model_state_dict",
    "model",
    "params_ema",
    "params",
    "module",
    "ema",
    "string_to_param",
)


class _StandIn:
    """Takes the place of a class whose state is of no interest."""

    def __setstate__(self, state: object) -> None:
        return None


def read_pickle(path: Path) -> dict[str, Tensor]:
    """The tensors of a pickled file, by name; raises ModelFileError for a pickle that wants to run code."""
    return read_pickle_with_facts(path)[0]


def read_pickle_with_facts(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors of a pickled file, and what else of it belongs into a header."""
    try:
        wanted = torch.serialization.get_unsafe_globals_in_checkpoint(str(path))
    except Exception as error:
        raise ModelFileError(
            f"'{path.name}' cannot be read as a pickle of weights ({_first_line(error)}); it may be damaged.",
            code="model-file-damaged",
            location=path.name,
        ) from error
    refused = [name for name in wanted if not name.startswith(_STAND_INS)]
    if refused:
        raise ModelFileError(
            f"'{path.name}' wants to use {', '.join(sorted(refused)[:3])}, which weights have no need of; do "
            "not use this file.",
            code="pickle-unsafe",
            location=path.name,
        )
    stand_ins: list[Any] = [(type(name.rpartition(".")[2], (_StandIn,), {}), name) for name in wanted]
    try:
        with torch.serialization.safe_globals(stand_ins):
            loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=_can_map(path))
    except (pickle.UnpicklingError, RuntimeError, ValueError, EOFError, KeyError, OSError) as error:
        raise ModelFileError(
            f"'{path.name}' cannot be read without running its code ({_first_line(error)}); do not use this file.",
            code="pickle-unsafe",
            location=path.name,
        ) from error
    return _tensors(loaded, path), _facts(loaded)


def _can_map(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(4) == b"PK\x03\x04"


def _tensors(loaded: Any, path: Path) -> dict[str, Tensor]:
    if isinstance(loaded, Mapping):
        if is_hypernetwork(loaded):
            return _hypernetwork_tensors(loaded)
        if isinstance(loaded.get("string_to_param"), Mapping):
            params = list(loaded["string_to_param"].values())
            return {"emb_params": params[0].detach()} if params else {}
        for name in _WRAPPERS:
            inner = loaded.get(name)
            if isinstance(inner, Mapping) and any(isinstance(value, Tensor) for value in inner.values()):
                return _tensors(inner, path)
        found = {str(name): value.detach() for name, value in loaded.items() if isinstance(value, Tensor)}
        found = found or _grouped(loaded)
        if found:
            return found
    raise ModelFileError(f"'{path.name}' holds no weights.", code="model-file-part", location=path.name)


def _grouped(loaded: Mapping[Any, Any]) -> dict[str, Tensor]:
    """The tensors of groups by name, as IP-Adapters have them: the group stands before their names."""
    return {
        f"{group}.{name}": tensor.detach()
        for group, inner in loaded.items()
        if isinstance(inner, Mapping)
        for name, tensor in inner.items()
        if isinstance(tensor, Tensor)
    }


def is_hypernetwork(loaded: Mapping[Any, Any]) -> bool:
    """Whether a pickle holds a hypernetwork: for each width, the layers before keys and those before values."""
    sides = [value for width, value in loaded.items() if isinstance(width, int)]
    return bool(sides) and all(isinstance(pair, (list, tuple)) and len(pair) == 2 for pair in sides)


def _hypernetwork_tensors(loaded: Mapping[Any, Any]) -> dict[str, Tensor]:
    return {
        f"{width}.{side}.{_numbered(name)}": tensor.detach()
        for width, pair in loaded.items()
        if isinstance(width, int)
        for side, layers in enumerate(pair)
        if isinstance(layers, Mapping)
        for name, tensor in layers.items()
        if isinstance(tensor, Tensor)
    }


def _numbered(name: str) -> str:
    """The name of a layer, also of the first files, which had linear1 and linear2."""
    old = {"linear1": "linear.0", "linear2": "linear.1"}
    head, _, rest = name.partition(".")
    return f"{old.get(head, head)}.{rest}"


def _facts(loaded: Any) -> dict[str, str]:
    """What a hypernetwork's pickle says in words: its activation, and where it is used."""
    if not isinstance(loaded, Mapping) or not is_hypernetwork(loaded):
        return {}
    names = ("activation_func", "activate_output", "is_layer_norm", "name")
    return {name: str(loaded[name]) for name in names if isinstance(loaded.get(name), (str, bool))}


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:160].rstrip(". ")
