"""ComfyUI's `.latent` files: safetensors with `latent_tensor`, in the metadata the prompt and the workflow.

Files with the empty tensor `latent_format_version_0` hold latents as a VAE gives them; older ones held them scaled
for SD 1.x.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from graphcore.errors import InputError

SAMPLES = "latent_tensor"
VERSION_MARK = "latent_format_version_0"
OLD_SCALE = 0.18215
MAX_FILE_BYTES = 2**31


def latent_bytes(samples: Tensor, texts: Mapping[str, str]) -> bytes:
    """A `.latent` file of samples (batch, channels, height, width)."""
    tensors = {SAMPLES: samples.detach().cpu().contiguous(), VERSION_MARK: torch.empty(0)}
    return save(tensors, metadata=dict(texts) or None)


def read_latent(path: Path) -> Tensor:
    """The float32 samples of a `.latent` file; raises InputError if it is damaged or holds something else."""
    if path.stat().st_size > MAX_FILE_BYTES:
        raise _bad(path, "is too large for a latent")
    try:
        tensors = load(path.read_bytes())
    except SafetensorError as error:
        raise _bad(path, f"is damaged ({error})") from error
    samples = tensors.get(SAMPLES)
    if samples is None or samples.ndim != 4 or not samples.is_floating_point():
        raise _bad(path, "holds no latent of four dimensions")
    scale = 1.0 if VERSION_MARK in tensors else 1 / OLD_SCALE
    return samples.float() * scale


def _bad(path: Path, what: str) -> InputError:
    return InputError(
        f"'{path.name}' {what}; use a file that SaveLatent wrote.", code="bad-latent-file", location=path.name
    )
