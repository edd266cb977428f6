"""What a model file is, told from its header: family, parts, precision, size, and what its metadata says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from math import prod
from pathlib import Path

from graphcore.errors import ModelFileError
from nodes.diffusion.checkpoint import open_checkpoint
from nodes.diffusion.companion_inspection import COMPANIONS
from nodes.diffusion.patches.adapter_file import open_adapters
from nodes.diffusion.safetensors_header import Header, read_header

_TOLD = (
    "modelspec.title",
    "modelspec.architecture",
    "modelspec.license",
    "modelspec.description",
    "ss_base_model_version",
    "ss_output_name",
)


def inspect_file(kind: str, path: Path) -> Mapping[str, str]:
    """What a file (or folder) of a kind ("checkpoints", "loras" ...) is; no weights are read.

    A file that cannot be opened is told under "problem".
    """
    try:
        if kind == "loras":
            return _adapter(path)
        found = dict(COMPANIONS[kind](path) if kind in COMPANIONS else _network(path))
        if path.is_file():
            found |= _header(read_header(path))
        return found
    except ModelFileError as error:
        told = _header(read_header(path)) if path.is_file() and error.code == "model-file-family" else {}
        return {**told, "problem": error.message} if kind in ("checkpoints", *COMPANIONS) else {**told}


def _network(path: Path) -> Mapping[str, str]:
    checkpoint = open_checkpoint(path)
    found = {"parts": ", ".join(sorted(checkpoint.parts))}
    if checkpoint.family is not None:
        found["family"] = checkpoint.family.title
    prediction = getattr(checkpoint.parameterization, "prediction", None)
    if prediction is not None:
        found["prediction"] = str(prediction)
    return found


def _adapter(path: Path) -> Mapping[str, str]:
    adapters = open_adapters(path)
    kinds = Counter(entry.kind for entry in adapters.entries)
    found = {"adapters": ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())}
    if adapters.unknown:
        found["unknown tensors"] = str(len(adapters.unknown))
    return found | dict(_header(adapters.header))


def _header(header: Header) -> Mapping[str, str]:
    counts: Counter[str] = Counter()
    for info in header.tensors.values():
        counts[info.dtype] += prod(info.shape)
    found = {
        "precision": ", ".join(dtype for dtype, _ in counts.most_common(3)),
        "parameters": f"{sum(counts.values()) / 1e6:.1f} M",
    }
    for name in _TOLD:
        if name in header.metadata:
            found[name.rpartition(".")[2]] = header.metadata[name][:200]
    return found
