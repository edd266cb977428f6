"""Encoded training sets as files: latents and texts in shards, and a metadata.json that counts them.

A shard is a safetensors file with the tensors `<n>.latent`, `<n>.embeddings` and `<n>.pooled` of its examples; sizes
of SDXL texts are in its header.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from graphcore.errors import InputError, ModelFileError, ResourceError
from graphcore.files import safe_parts
from nodes.diffusion.training.examples import Example, paired
from nodes.values import Conditioning, ConditioningEntry, Latent

METADATA: Final = "metadata.json"
_SIZES: Final = "graphcore.sizes"


def write_shards(
    root: Path,
    name: str,
    latents: Sequence[Latent],
    conditionings: Sequence[Conditioning],
    shard_size: int,
) -> list[str]:
    """Write a data set into the folder `name` below `root`; the names of its files.

    Raises InputError if latents and conditionings do not fit together, or the folder would lie elsewhere.
    """
    examples = paired(latents, conditionings)
    folder = _folder(root, name)
    shards = [examples[start : start + shard_size] for start in range(0, len(examples), shard_size)]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        names = [shard_name(number) for number in range(len(shards))]
        for file, shard in zip(names, shards, strict=True):
            draft = folder / f".{file}.part"
            save_file(
                _tensors(shard), draft, metadata={_SIZES: json.dumps([each.entry.size for each in shard])}
            )
            draft.replace(folder / file)
        counted = {"num_samples": len(examples), "num_shards": len(shards), "shard_size": shard_size}
        (folder / METADATA).write_text(json.dumps(counted, indent=2), encoding="utf-8")
    except OSError as error:
        raise ResourceError(
            f"The data set cannot be written into '{name}' ({error.strerror or error}); free some space, or choose "
            "another folder.",
            code="cannot-write",
        ) from error
    return names


def read_shards(root: Path, name: str) -> tuple[list[Latent], list[Conditioning]]:
    """The latents and conditionings of a data set in the folder `name` below `root`.

    Raises ResourceError if there is none, ModelFileError if it is damaged or pickled.
    """
    folder = _folder(root, name)
    if not folder.is_dir():
        raise ResourceError(
            f"There is no folder '{name[:80]}' in the output folder; save a training data set there first.",
            code="file-not-found",
            location=name[:80],
        )
    latents: list[Latent] = []
    conditionings: list[Conditioning] = []
    for number in range(_count(folder)):
        for latent, entry in _read(folder / shard_name(number)):
            latents.append(Latent(latent))
            conditionings.append(Conditioning((entry,)))
    return latents, conditionings


def shard_name(number: int) -> str:
    """What the shard of a number is called."""
    return f"shard_{number:04}.safetensors"


def _folder(root: Path, name: str) -> Path:
    parts = safe_parts(name)
    folder = root.joinpath(*parts) if parts is not None else root
    if parts is None or not folder.resolve().is_relative_to(root.resolve()):
        raise InputError(
            f"'{name[:80]}' is no folder inside the output folder; give a name, or names with slashes between them.",
            code="bad-folder",
        )
    return folder


def _tensors(shard: Sequence[Example]) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for number, example in enumerate(shard):
        entry = example.entry
        kept = {"latent": example.latent, "embeddings": entry.embeddings, "pooled": entry.pooled}
        found |= {
            f"{number}.{name}": tensor.detach().clone().contiguous()
            for name, tensor in kept.items()
            if tensor is not None
        }
    return found


def _count(folder: Path) -> int:
    try:
        said = json.loads((folder / METADATA).read_text(encoding="utf-8"))
        count = said["num_shards"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged(folder / METADATA, error) from error
    if any(folder.glob("shard_*.pkl")) and not (folder / shard_name(0)).is_file():
        raise ModelFileError(
            f"The data set in '{folder.name}' is pickled, which can run any code; save it again with "
            "SaveTrainingDataset.",
            code="pickle-refused",
            location=folder.name,
        )
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise _damaged(folder / METADATA, ValueError("num_shards is no number above 0"))
    return count


def _read(path: Path) -> list[tuple[Tensor, ConditioningEntry]]:
    try:
        with safe_open(path, framework="pt") as file:
            sizes: list[Any] = json.loads((file.metadata() or {})[_SIZES])
            names = set(file.keys())
            return [_example(file, names, number, size) for number, size in enumerate(sizes)]
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
        raise _damaged(path, error) from error


def _example(file: Any, names: set[str], number: int, size: Any) -> tuple[Tensor, ConditioningEntry]:
    pooled = f"{number}.pooled"
    entry = ConditioningEntry(
        embeddings=file.get_tensor(f"{number}.embeddings"),
        pooled=file.get_tensor(pooled) if pooled in names else None,
        size=None if size is None else tuple(float(value) for value in size),
    )
    return file.get_tensor(f"{number}.latent"), entry


def _damaged(path: Path, error: Exception) -> ModelFileError:
    return ModelFileError(
        f"{path.name} of the data set '{path.parent.name}' is damaged or missing ({error}); save the data set again.",
        code="damaged-dataset",
        location=path.name,
    )
