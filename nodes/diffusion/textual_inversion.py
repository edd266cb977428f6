"""Textual inversion (Gal et al. 2022): learned vectors that stand for a word, read from safetensors files."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from graphcore.errors import InputError
from nodes.diffusion.safetensors_header import read_header
from nodes.diffusion.weights import read_tensor

SHARED_NAMES = ("emb_params", "string_to_param.*", "embedding")


def read_embedding(path: Path, part: str, width: int) -> Tensor:
    """The vectors (rows, width) of an embedding for the text encoder `part` ("clip_l", "clip_g").

    Raises InputError if the file holds none of that width, ModelFileError if it is damaged or a pickle.
    """
    header = read_header(path)
    named = [name for name in (part, *SHARED_NAMES) if name in header.tensors]
    for name in named or sorted(header.tensors):
        shape = header.tensors[name].shape
        if len(shape) in (1, 2) and shape[-1] == width:
            return read_tensor(header, name).reshape(-1, width).clone()
    raise InputError(
        f"The embedding {path.name} has no vectors of width {width}, which this model's '{part}' wants; use one made "
        "for this family of models."
    )
