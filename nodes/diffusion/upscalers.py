"""Files of networks that enlarge pictures: recognised by names and shapes, and read under any of their namings."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn

from graphcore.errors import InputError, ModelFileError
from nodes.diffusion.precision import Precision
from nodes.diffusion.safetensors_header import Header, read_header
from nodes.diffusion.upscale_networks import RrdbNet, SrvggNet
from nodes.diffusion.vae import MIN_TILE, Tiling, is_out_of_memory, release_cached, starts, tiled
from nodes.diffusion.weights import read_tensor

TILE, OVERLAP = 512, 32
MOST_PIXELS = 2**29
_OLD_BLOCK: Final = re.compile(r"model\.1\.sub\.(\d+)\.RDB([123])\.conv([1-5])\.0\.(weight|bias)\Z")
_TRUNK: Final = re.compile(r"RRDB_trunk\.(\d+)\.RDB([123])\.conv([1-5])\.(weight|bias)\Z")
_OLD_END: Final = re.compile(r"model\.(\d+)(?:\.sub\.(\d+))?\.(weight|bias)\Z")
_RENAMED: Final = {"trunk_conv": "conv_body", "HRconv": "conv_hr"}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class UpscalerFile:
    """An opened file: how its network is made, which of its tensors is which, how much it enlarges."""

    header: Header
    names: Mapping[str, str]
    make: Callable[[], nn.Module]
    scale: int
    title: str

    def load(self) -> nn.Module:
        """The network, on the CPU, in the file's dtype; raises ModelFileError if tensors are missing or misshapen."""
        with torch.device("meta"):
            network = self.make()
        wanted = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
        for name, shape in wanted.items():
            if name not in self.names or self.header.tensors[self.names[name]].shape != shape:
                raise _unknown(self.header.path, f"its tensor '{name}' is missing or of another shape")
        state = {name: read_tensor(self.header, self.names[name]) for name in wanted}
        network.load_state_dict(state, assign=True)
        return network.requires_grad_(False).eval()


def open_upscaler(path: Path) -> UpscalerFile:
    """Open a file that enlarges pictures, reading its header only; raises ModelFileError for an unknown one."""
    header = read_header(path)
    if "body.0.weight" in header.tensors and "conv_first.weight" not in header.tensors:
        return _compact(header)
    return _rrdb(header)


def _rrdb(header: Header) -> UpscalerFile:
    ends = [int(match.group(1)) for name in header.tensors if (match := _OLD_END.match(name))]
    names = {_rrdb_name(name, max(ends, default=0)): name for name in header.tensors}
    shapes = {name: header.tensors[original].shape for name, original in names.items()}
    try:
        first, last = shapes["conv_first.weight"], shapes["conv_last.weight"]
        growth = shapes["body.0.rdb1.conv1.weight"][0]
    except KeyError:
        raise _unknown(header.path, "it is none of ESRGAN, Real-ESRGAN and its compact form") from None
    blocks = 1 + max(int(name.split(".")[1]) for name in shapes if name.startswith("body."))
    doublings = sum(name.startswith("conv_up") and name.endswith(".weight") for name in shapes)
    shuffle = math.isqrt(first[1] // last[0])
    if last[0] != 3 or first[1] != 3 * shuffle**2 or 2**doublings % shuffle:
        raise _unknown(header.path, f"it takes {first[1]} channels and gives {last[0]}, and pictures have 3")
    return UpscalerFile(
        header=header,
        names=names,
        make=lambda: RrdbNet(
            width=first[0], growth=growth, blocks=blocks, doublings=doublings, shuffle=shuffle
        ),
        scale=2**doublings // shuffle,
        title="ESRGAN",
    )


def _rrdb_name(name: str, last: int) -> str:
    """BasicSR's name for a tensor of the first ESRGAN files, or of those in between; `last` is their last layer."""
    block = _OLD_BLOCK.match(name) or _TRUNK.match(name)
    if block is not None:
        index, dense, convolution, kind = block.groups()
        return f"body.{index}.rdb{dense}.conv{convolution}.{kind}"
    end = _OLD_END.match(name)
    if end is not None:
        place, inner, kind = int(end.group(1)), end.group(2), end.group(3)
        if inner is not None:
            return f"conv_body.{kind}"
        named = {0: "conv_first", last: "conv_last", last - 2: "conv_hr"}
        return f"{named.get(place, f'conv_up{place // 3}')}.{kind}"
    head, _, rest = name.partition(".")
    return f"{_RENAMED.get(head, head.replace('upconv', 'conv_up'))}.{rest}"


def _compact(header: Header) -> UpscalerFile:
    shapes = {name: info.shape for name, info in header.tensors.items()}
    indices = [int(name.split(".")[1]) for name in shapes if re.fullmatch(r"body\.\d+\.weight", name)]
    last = shapes[f"body.{max(indices)}.weight"]
    scale = math.isqrt(last[0] // 3)
    if len(last) != 4 or last[0] != 3 * scale**2 or len(shapes.get("body.1.weight", (0, 0))) != 1:
        raise _unknown(header.path, "its layers are not those of Real-ESRGAN's compact form")
    return UpscalerFile(
        header=header,
        names={name: name for name in shapes},
        make=lambda: SrvggNet(
            width=shapes["body.0.weight"][0], convolutions=(max(indices) - 2) // 2, scale=scale
        ),
        scale=scale,
        title="Real-ESRGAN (compact)",
    )


def _unknown(path: Path, why: str) -> ModelFileError:
    return ModelFileError(
        f"{path.name} cannot be used to enlarge pictures: {why}; choose an ESRGAN or Real-ESRGAN file.",
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
    progress: Callable[[int, int], None],
) -> Tensor:
    """Pictures (batch, height, width, 3) enlarged `scale` times, in [0, 1], float32 on the CPU, tile by tile.

    Tiles overlap, and are halved where memory does not suffice. `progress` is told of tiles done, and of how many.
    Raises InputError for pictures that are none, or would become too large.
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
    tiling = Tiling(size=TILE, overlap=OVERLAP)
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
