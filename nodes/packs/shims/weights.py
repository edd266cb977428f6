"""The part of `comfy.utils` that reads, writes and renames weights."""

from __future__ import annotations

from collections.abc import Mapping
from operator import attrgetter
from typing import Any

from graphcore.errors import ModelFileError

_WRAPPERS = ("state_dict", "model_state_dict")


class FileTensors(dict[str, Any]):
    """The tensors of a file by name, which remember the file: a LoRA is applied by it."""

    def __init__(self, tensors: Mapping[str, Any], path: str) -> None:
        super().__init__(tensors)
        self.path = path


def load_torch_file(
    ckpt: Any, safe_load: bool = False, device: Any = None, return_metadata: bool = False
) -> Any:
    """The tensors of a file by name; with `return_metadata`, a pair of them and of the file's texts.

    Safetensors files are read as they are. Other files are opened with torch's restricted unpickler, which runs no
    code. Raises ModelFileError for a file that holds anything else than tensors.
    """
    import torch

    del safe_load
    where = torch.device("cpu") if device is None else device
    path = str(ckpt)
    if path.lower().endswith((".safetensors", ".sft")):
        return _read_safetensors(path, str(where), return_metadata)
    try:
        loaded = torch.load(path, map_location=where, weights_only=True)
    except (RuntimeError, EOFError, ValueError, KeyError) as error:
        raise _unreadable(path, error) from error
    except Exception as error:
        if type(error).__name__ != "UnpicklingError":
            raise
        raise _unreadable(path, error) from error
    for name in _WRAPPERS:
        if isinstance(loaded, Mapping) and isinstance(loaded.get(name), Mapping):
            loaded = loaded[name]
    return (loaded, None) if return_metadata else loaded


def _unreadable(path: str, error: Exception) -> ModelFileError:
    said = " ".join(str(error).split())[:200]
    return ModelFileError(
        f"'{path}' holds no plain tensors ({said}); use a .safetensors file.", location=path
    )


def _read_safetensors(path: str, device: str, return_metadata: bool) -> Any:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt", device=device) as opened:
            read = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 (no mapping)
            tensors = FileTensors(read, path)
            return (tensors, opened.metadata()) if return_metadata else tensors
    except SafetensorError as error:
        raise _unreadable(path, error) from error


def save_torch_file(sd: Mapping[str, Any], ckpt: Any, metadata: Mapping[str, str] | None = None) -> None:
    """Write tensors as a safetensors file, with texts beside them."""
    from safetensors.torch import save_file

    tensors = {name: tensor.detach().contiguous() for name, tensor in sd.items()}
    save_file(tensors, str(ckpt), metadata=None if metadata is None else dict(metadata))


def safetensors_header(safetensors_path: Any, max_size: int = 100 * 1024 * 1024) -> bytes | None:
    """The header of a safetensors file as JSON, or None if it is longer than `max_size`."""
    with open(safetensors_path, "rb") as stream:  # noqa: PTH123 (a path of the pack's making)
        length = int.from_bytes(stream.read(8), "little")
        return None if length > max_size else stream.read(length)


def calculate_parameters(sd: Mapping[str, Any], prefix: str = "") -> int:
    """How many numbers the tensors hold whose names begin with `prefix`."""
    return sum(tensor.nelement() for name, tensor in sd.items() if name.startswith(prefix))


def weight_dtype(sd: Mapping[str, Any], prefix: str = "") -> Any:
    """The dtype that most of these numbers have, or None without any."""
    counts: dict[Any, int] = {}
    for name, tensor in sd.items():
        if name.startswith(prefix):
            counts[tensor.dtype] = counts.get(tensor.dtype, 0) + tensor.nelement()
    return max(counts, key=counts.__getitem__) if counts else None


def state_dict_key_replace(state_dict: dict[str, Any], keys_to_replace: Mapping[str, str]) -> dict[str, Any]:
    """Rename tensors, in place."""
    for old, new in keys_to_replace.items():
        if old in state_dict:
            state_dict[new] = state_dict.pop(old)
    return state_dict


def state_dict_prefix_replace(
    state_dict: dict[str, Any], replace_prefix: Mapping[str, str], filter_keys: bool = False
) -> dict[str, Any]:
    """Rename tensors by what their names begin with, in place; with `filter_keys`, into a new one of these alone."""
    out: dict[str, Any] = {} if filter_keys else state_dict
    for old, new in replace_prefix.items():
        for name in [name for name in state_dict if name.startswith(old)]:
            out[new + name[len(old) :]] = state_dict.pop(name)
    return out


def get_attr(obj: Any, attr: str) -> Any:
    """An attribute by a name with dots."""
    return attrgetter(attr)(obj)


def set_attr(obj: Any, attr: str, value: Any) -> Any:
    """Set an attribute by a name with dots; what it was before."""
    holder, _, name = attr.rpartition(".")
    owner = attrgetter(holder)(obj) if holder else obj
    before = getattr(owner, name)
    setattr(owner, name, value)
    return before


def set_attr_param(obj: Any, attr: str, value: Any) -> Any:
    """As `set_attr`, for a parameter of a module."""
    import torch

    return set_attr(obj, attr, torch.nn.Parameter(value, requires_grad=False))


def copy_to_param(obj: Any, attr: str, value: Any) -> None:
    """Write a tensor into a parameter of a module."""
    attrgetter(attr)(obj).data.copy_(value)


def string_to_seed(data: str | bytes) -> int:
    """A seed of 32 bits that depends on a text alone: its CRC-32."""
    import zlib

    return zlib.crc32(data.encode() if isinstance(data, str) else data)
