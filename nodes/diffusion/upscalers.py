"""Files of networks that enlarge pictures: recognised by names and shapes, read, and used tile by tile."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn

from graphcore.errors import InputError, ModelFileError
from nodes.diffusion.layouts.rules import NOT_THERE
from nodes.diffusion.layouts.unet import Shapes
from nodes.diffusion.precision import Precision
from nodes.diffusion.safetensors_header import Header, read_header
from nodes.diffusion.upscaling.architecture import Architecture, Design
from nodes.diffusion.upscaling.registry import ARCHITECTURES, TITLES
from nodes.diffusion.vae import MIN_TILE, Tiling, is_out_of_memory, release_cached, starts, tiled
from nodes.diffusion.weights import read_tensor

OVERLAP = 32
MOST_PIXELS = 2**29
WRAPPERS: Final = ("module.", "params_ema.", "params.", "model_ema.", "netG.")
"""What training programs put before every name."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class UpscalerFile:
    """An opened file: its network, and which of its tensors is which (by the network's names)."""

    header: Header
    names: Mapping[str, str]
    design: Design
    title: str

    @property
    def scale(self) -> int:
        """How many times larger it makes the sides of pictures."""
        return self.design.scale

    def load(self) -> nn.Module:
        """The network, on the CPU, in the file's dtype; raises ModelFileError if tensors are missing or misshapen."""
        with torch.device("meta"):
            network = self.design.make()
        wanted = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
        for name, shape in wanted.items():
            if name not in self.names or self.header.tensors[self.names[name]].shape != shape:
                raise _unfit(self.header.path, f"its tensor '{name}' is missing or of another shape")
        spare = self.design.spare
        for name in self.names.keys() - wanted.keys():
            if spare is None or not spare.match(name):
                raise _unfit(self.header.path, f"it is a {self.title} of another kind: '{name}' has no place")
        state = {name: read_tensor(self.header, self.names[name]) for name in wanted}
        network.load_state_dict(state, assign=True)
        return network.requires_grad_(False).eval()


def open_upscaler(path: Path) -> UpscalerFile:
    """Open a file that enlarges pictures, reading its header only; raises ModelFileError for an unknown one."""
    header = read_header(path)
    plain = _unwrapped(header.tensors)
    shapes = {name: header.tensors[original].shape for name, original in plain.items()}
    for architecture in ARCHITECTURES:
        renamed = (
            {name: name for name in shapes} if architecture.rename is None else architecture.rename(shapes)
        )
        inner = {name: shapes[original] for name, original in renamed.items()}
        if architecture.recognises(inner):
            names = {name: plain[original] for name, original in renamed.items()}
            design = _designed(header, architecture, inner, names)
            return UpscalerFile(header=header, names=names, design=design, title=architecture.title)
    raise _unfit(header.path, f"it is none of {TITLES}")


def _unwrapped(names: Mapping[str, object]) -> dict[str, str]:
    """The file's names without what stands before all of them."""
    for prefix in WRAPPERS:
        if names and all(name.startswith(prefix) for name in names):
            return {name[len(prefix) :]: name for name in names}
    return {name: name for name in names}


def _designed(header: Header, architecture: Architecture, shapes: Shapes, names: Mapping[str, str]) -> Design:
    try:
        design = architecture.design(shapes, lambda name: read_tensor(header, names[name]))
    except NOT_THERE:
        design = f"its layers are not those of {architecture.title}"
    if not isinstance(design, str) and (design.takes, design.gives) != (3, 3):
        design = f"it takes {design.takes} channels and gives {design.gives}, and pictures have 3"
    if not isinstance(design, str) and design.scale < 1:
        design = f"its layers are not those of {architecture.title}"
    if isinstance(design, str):
        raise _unfit(header.path, design)
    return design


def _unfit(path: Path, why: str) -> ModelFileError:
    return ModelFileError(
        f"{path.name} cannot be used to enlarge pictures: {why}; choose another file.",
        code="not-an-upscaler",
        location=path.name,
    )


def upscaled(
    network: nn.Module,
    scale: int,
    pixels: Tensor,
    *,
    device: torch.device,
    precision: Precision,
    tile: int = 512,
    progress: Callable[[int, int], None],
) -> Tensor:
    """Pictures (batch, height, width, 3) enlarged `scale` times, in [0, 1], float32 on the CPU, tile by tile.

    Tiles of `tile` pixels a side overlap, and are halved where memory does not suffice. `progress` is told of tiles
    done, and of how many. Raises InputError for pictures that are none, or would become too large.
    """
    if pixels.ndim != 4 or pixels.shape[-1] < 3 or not pixels.numel():
        raise InputError(
            f"A picture has the shape (batch, height, width, 3), and this one {tuple(pixels.shape)}.",
            code="picture-shape",
        )
    batch, height, width = pixels.shape[:3]
    if batch * height * width * scale**2 > MOST_PIXELS:
        raise InputError(
            f"Enlarged {scale} times, {batch} pictures of {width}x{height} pixels would be too large; give smaller or "
            "fewer ones.",
            code="picture-too-large",
        )

    @torch.inference_mode()
    def compute(part: Tensor) -> Tensor:
        enlarged: Tensor = network(part.to(device, precision.dtype))
        return enlarged.float().cpu()

    given = pixels[..., :3].movedim(-1, 1).float()
    tiling = Tiling(size=tile, overlap=OVERLAP)
    while True:
        try:
            done = _Counted(compute, given, tiling, progress)
            pictures = [tiled(done, picture[None], tiling, in_scale=1, out_scale=scale) for picture in given]
            return torch.cat(pictures).movedim(1, -1).clamp(0, 1).contiguous()
        except RuntimeError as error:
            if not is_out_of_memory(error) or tiling.size // 2 < MIN_TILE:
                raise
            release_cached(device)
            tiling = Tiling(size=tiling.size // 2, overlap=min(OVERLAP, tiling.size // 8))


class _Counted:
    """A computation of tiles that tells how many are done."""

    def __init__(
        self,
        compute: Callable[[Tensor], Tensor],
        pictures: Tensor,
        tiling: Tiling,
        progress: Callable[[int, int], None],
    ) -> None:
        rows, columns = (len(starts(side, tiling)) for side in pictures.shape[-2:])
        self._compute, self._progress = compute, progress
        self._done, self._total = 0, len(pictures) * rows * columns
        progress(0, self._total)

    def __call__(self, part: Tensor) -> Tensor:
        result = self._compute(part)
        self._done += 1
        self._progress(self._done, self._total)
        return result
