"""Textual inversion (Gal et al. 2022): learned vectors that stand for a word, read from safetensors files."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from graphcore.errors import InputError, ModelFileError
from nodes.diffusion.safetensors_header import read_header
from nodes.diffusion.weights import read_tensor

SHARED_NAMES = ("emb_params", "string_to_param.*", "embedding")
MOST_TENSORS = 8
"""More than an embedding has, under whatever names; files with more are something else."""


def read_embedding(path: Path, part: str, width: int) -> Tensor:
    """The vectors (rows, width) of an embedding for the text encoder `part` ("clip_l", "clip_g").

    Raises InputError if the file holds none of that width, ModelFileError if it is damaged, a pickle, or no embedding.
    """
    header = read_header(path)
    named = [name for name in (part, *SHARED_NAMES) if name in header.tensors]
    if not named and len(header.tensors) > MOST_TENSORS:
        raise ModelFileError(
            f"{path.name} holds {len(header.tensors)} tensors, so it is no embedding; choose another file.",
            code="model-file-family",
            location=path.name,
        )
    for name in named or sorted(header.tensors):
        shape = header.tensors[name].shape
        if len(shape) in (1, 2) and shape[-1] == width:
            return _finite(read_tensor(header, name).reshape(-1, width).float(), path)
    raise InputError(
        f"The embedding {path.name} has no vectors of width {width}, which this model's '{part}' wants; use one made "
        "for this family of models."
    )


def _finite(vectors: Tensor, path: Path) -> Tensor:
    if not bool(torch.isfinite(vectors).all()):
        raise ModelFileError(
            f"The embedding {path.name} holds values that are not finite (NaN); get the file again.",
            code="model-file-damaged",
            location=path.name,
        )
    return vectors.clone()
