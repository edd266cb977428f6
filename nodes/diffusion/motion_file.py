"""Files of AnimateDiff's motion modules: their configuration from shapes, and their network.

The original layout names the layers of one transformer otherwise (`temporal_transformer`, `attention_blocks`, `norms`),
and holds the table of positions, which is computed here. diffusers' layout is that of its MotionAdapter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from diffusers import MotionAdapter
from diffusers.models.embeddings import SinusoidalPositionalEmbedding
from torch import Tensor, nn

from graphcore.errors import ModelFileError
from nodes.diffusion.layouts.unet import count
from nodes.diffusion.safetensors_header import Header, read_header
from nodes.diffusion.weights import read_tensor

_RENAMED: Final = (
    (".attn1.", ".attention_blocks.0."),
    (".attn2.", ".attention_blocks.1."),
    (".norm1.", ".norms.0."),
    (".norm2.", ".norms.1."),
    (".norm3.", ".ff_norm."),
)
_LONGEST: Final = 32
_PREFIXES: Final = ("", "module.", "motion_modules.")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MotionFile:
    """A motion module's file: its header, and its configuration in diffusers' terms.

    `prefix` stands before each name; `original` is its layout. `widths` and `layers` are those of the network's levels
    that it fits; it knows `frames` at most.
    """

    header: Header
    prefix: str
    original: bool
    widths: tuple[int, ...]
    layers: int
    frames: int
    has_middle: bool

    def config(self) -> dict[str, Any]:
        """What MotionAdapter is made of."""
        return {
            "block_out_channels": self.widths,
            "motion_layers_per_block": self.layers,
            "motion_max_seq_length": self.frames,
            "use_motion_mid_block": self.has_middle,
        }

    def name(self, target: str) -> str:
        """The file's name of a tensor of MotionAdapter."""
        if not self.original:
            return self.prefix + target
        head, _, tail = target.partition(".motion_modules.")
        place, _, inner = tail.partition(".")
        name = f"{head}.motion_modules.{place}.temporal_transformer.{inner}"
        for ours, theirs in _RENAMED:
            name = name.replace(ours, theirs)
        return self.prefix + name


def open_motion(path: Path) -> MotionFile:
    """Read a motion module's header; raises ModelFileError if the file is none."""
    if path.is_dir():
        path = next(iter(sorted(path.glob("*.safetensors"))), path / "diffusion_pytorch_model.safetensors")
    header = read_header(path)
    shapes = {name: info.shape for name, info in header.tensors.items()}
    for prefix in _PREFIXES:
        for middle in ("temporal_transformer.", ""):
            first = f"{prefix}down_blocks.{{}}.motion_modules.0.{middle}norm.weight"
            levels = count(shapes, first)
            if not levels:
                continue
            layers = count(shapes, f"{prefix}down_blocks.0.motion_modules.{{}}.{middle}norm.weight")
            return MotionFile(
                header=header,
                prefix=prefix,
                original=bool(middle),
                widths=tuple(shapes[first.format(level)][0] for level in range(levels)),
                layers=layers,
                frames=_frames(shapes),
                has_middle=f"{prefix}mid_block.motion_modules.0.{middle}norm.weight" in shapes,
            )
    raise ModelFileError(
        f"{path.name} holds no motion module of AnimateDiff; choose another file.",
        code="model-file-family",
        location=path.name,
    )


def load_motion(file: MotionFile) -> nn.Module:
    """The motion module as diffusers' MotionAdapter, on the CPU, sharing the file's pages.

    Raises ModelFileError that names a tensor which is missing or has another shape.
    """
    with torch.device("meta"):
        adapter: nn.Module = MotionAdapter(**file.config())
    state: dict[str, Tensor] = {}
    for target, wanted in adapter.state_dict().items():
        if target.endswith("pos_embed.pe"):
            state[target] = SinusoidalPositionalEmbedding(wanted.shape[-1], max_seq_length=wanted.shape[1]).pe
            continue
        name = file.name(target)
        info = file.header.tensors.get(name)
        if info is None or info.shape != tuple(wanted.shape):
            found = "is missing" if info is None else f"has the shape {list(info.shape)}"
            raise ModelFileError(
                f"The motion module {file.header.path.name} does not fit its configuration: {name} {found}; get it "
                "again.",
                code="model-file-mismatch",
                location=file.header.path.name,
            )
        state[target] = read_tensor(file.header, name)
    adapter.load_state_dict(state, assign=True)
    return adapter.requires_grad_(False).eval()


def _frames(shapes: Mapping[str, tuple[int, ...]]) -> int:
    """How many frames the table of positions holds."""
    tables = [
        shape[1]
        for name, shape in shapes.items()
        if name.endswith(("pos_encoder.pe", "pos_embed.pe")) and len(shape) == 3
    ]
    return tables[0] if tables else _LONGEST
