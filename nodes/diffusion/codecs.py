"""The persistent store's codec for what travels on the wires: values.py's dataclasses, with their tensors.

One safetensors file holds the tensors; its header holds the tree of dataclasses around them. Pictures that are exact in
eight bits are written as PNG, which is a fifth of the size. Classes are found by name among the known ones only.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from types import ModuleType
from typing import Any, Final

import numpy
import torch
from PIL import Image as Picture
from safetensors.torch import load, save
from torch import Tensor

from graphcore.cache.codec import Codec
from nodes import values
from nodes.conditioning import hook_values
from nodes.control import steering
from nodes.diffusion import (
    guidance,
    guidance_formulas,
    guidance_wrappers,
    safe_latent,
    self_attention_guidance,
)
from nodes.guidance import guidance_options, network_options
from nodes.models import merges
from nodes.pictures import upscaling

_MODULES: Final = (
    values,
    merges,
    guidance_options,
    hook_values,
    network_options,
    steering,
    upscaling,
    guidance,
    guidance_formulas,
    guidance_wrappers,
    self_attention_guidance,
    safe_latent,
)
_BASES: Final = (values.Patch, values.ModelOption, values.ControlHint, values.Guidance)


def codecs() -> Iterable[Codec]:
    """The codecs of this pack."""
    return (ValueCodec(),)


class ValueCodec:
    """Tensors, and the dataclasses, tuples, lists and mappings that hold them."""

    name = "diffusion-values-1"

    def accepts(self, value: object) -> bool:
        known = _known_classes()
        pending = [value]
        while pending:
            item = pending.pop()
            if item is None or isinstance(item, (bool, int, float, str, Tensor)):
                continue
            if isinstance(item, (tuple, list)):
                pending.extend(item)
            elif isinstance(item, dict) and all(isinstance(name, str) for name in item):
                pending.extend(item.values())
            elif type(item) in known.values():
                pending.extend(getattr(item, entry.name) for entry in fields(item))  # type: ignore[arg-type]
            else:
                return False
        return True

    def encode(self, value: object) -> bytes:
        tensors: dict[str, Tensor] = {}
        tree = _write(value, tensors)
        return save(tensors, metadata={"tree": json.dumps(tree)})

    def decode(self, data: bytes) -> object:
        length = int.from_bytes(data[:8], "little")
        tree = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["tree"])
        return _read(tree, load(data), _known_classes())


def _known_classes() -> dict[str, type]:
    known = {name: cls for module in _MODULES for name, cls in _dataclasses(module).items()}
    pending: list[type] = list(_BASES)
    while pending:
        base = pending.pop()
        subclasses: list[type] = base.__subclasses__()
        for cls in subclasses:
            if is_dataclass(cls):
                known[cls.__name__] = cls
            pending.append(cls)
    return known


def _dataclasses(module: ModuleType) -> dict[str, type]:
    found: dict[str, type] = {}
    for name, member in vars(module).items():
        if isinstance(member, type) and is_dataclass(member):
            found[name] = member
    return found


def _write(value: Any, tensors: dict[str, Tensor]) -> object:
    if value is None or isinstance(value, (bool, int, float, str)):
        return {"plain": value}
    if isinstance(value, Tensor):
        return {"tensor": _put(value.detach().cpu().contiguous(), tensors)}
    if isinstance(value, (tuple, list)):
        kind = "tuple" if isinstance(value, tuple) else "list"
        return {kind: [_write(item, tensors) for item in value]}
    if isinstance(value, dict):
        return {"mapping": {name: _write(item, tensors) for name, item in value.items()}}
    if isinstance(value, values.Image):
        pictures = _exact_pictures(value.pixels)
        if pictures is not None:
            written = [
                _put(torch.frombuffer(bytearray(data), dtype=torch.uint8), tensors) for data in pictures
            ]
            return {"pictures": written, "verdicts": _write(value.verdicts, tensors)}
    members = {entry.name: _write(getattr(value, entry.name), tensors) for entry in fields(value)}
    return {"class": type(value).__name__, "fields": members}


def _put(tensor: Tensor, tensors: dict[str, Tensor]) -> str:
    name = str(len(tensors))
    tensors[name] = (
        tensor.clone() if tensor.data_ptr() in {held.data_ptr() for held in tensors.values()} else tensor
    )
    return name


def _exact_pictures(pixels: Tensor) -> list[bytes] | None:
    """A batch as PNG files, or None if eight bits do not hold it exactly."""
    if (
        pixels.dtype is not torch.float32
        or pixels.ndim != 4
        or pixels.shape[-1] not in (3, 4)
        or not len(pixels)
    ):
        return None
    levels = (pixels * 255).round()
    if not torch.isfinite(pixels).all() or levels.min() < 0 or levels.max() > 255:
        return None
    if not torch.equal(levels / 255, pixels):
        return None
    files = []
    for picture in levels.to(torch.uint8).cpu().numpy():
        stream = io.BytesIO()
        Picture.fromarray(picture).save(stream, "PNG", compress_level=1)
        files.append(stream.getvalue())
    return files


def _read(tree: Mapping[str, Any], tensors: Mapping[str, Tensor], known: Mapping[str, type]) -> Any:
    if "plain" in tree:
        return tree["plain"]
    if "tensor" in tree:
        return tensors[tree["tensor"]]
    if "tuple" in tree:
        return tuple(_read(item, tensors, known) for item in tree["tuple"])
    if "list" in tree:
        return [_read(item, tensors, known) for item in tree["list"]]
    if "mapping" in tree:
        return {name: _read(item, tensors, known) for name, item in tree["mapping"].items()}
    if "pictures" in tree:
        batch = [_read_picture(tensors[name]) for name in tree["pictures"]]
        return values.Image(torch.stack(batch), _read(tree["verdicts"], tensors, known))
    members = {name: _read(item, tensors, known) for name, item in tree["fields"].items()}
    return known[tree["class"]](**members)


def _read_picture(data: Tensor) -> Tensor:
    with Picture.open(io.BytesIO(data.numpy().tobytes())) as picture:
        return torch.from_numpy(numpy.array(picture)).float() / 255
