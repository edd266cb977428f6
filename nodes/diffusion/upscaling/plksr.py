"""PLKSR (Lee et al. 2024, arXiv 2404.11848) and RealPLKSR: large kernels over a part of the channels."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nodes.diffusion.layouts.unet import Shapes
from nodes.diffusion.upscaling.architecture import Architecture, Design, TensorReader, layers, require
from nodes.diffusion.upscaling.dysample import DySample
from nodes.diffusion.upscaling.windows import ChannelNorm

NORM_GROUPS = 4
"""In all published models; shapes do not tell."""
MIXERS = ("channe_mixer", "channel_mixer")
"""The first is the paper's code, which names it so, the second RealPLKSR."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """The sizes of a PLKSR. `mixing` has the kernels of a block's two first convolutions, `kernels` those of the large
    ones, by name; `groups` is how many groups of channels are moved by themselves where pixels are sampled.
    """

    width: int
    seen: int
    blocks: int
    scale: int
    real: bool
    mixing: tuple[int, int]
    kernels: dict[str, tuple[int, int]]
    gates: bool
    layer_norm: bool
    groups: int | None


class _Mixer(nn.Sequential):
    def __init__(self, width: int, first: int, second: int, activation: nn.Module) -> None:
        super().__init__(
            nn.Conv2d(width, 2 * width, first, padding=first // 2),
            activation,
            nn.Conv2d(2 * width, width, second, padding=second // 2),
        )


class _LargeKernels(nn.Module):
    """Large kernels, whose results add up, over the first channels; the others stay."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.seen = sizes.seen
        for name, (height, width) in sizes.kernels.items():
            padding = (height // 2, width // 2)
            self.add_module(name, nn.Conv2d(sizes.seen, sizes.seen, (height, width), padding=padding))

    def forward(self, x: Tensor) -> Tensor:
        seen, rest = x[:, : self.seen], x[:, self.seen :]
        found = [convolution(seen) for convolution in self.children()]
        return torch.cat([torch.stack(found).sum(0) if len(found) > 1 else found[0], rest], dim=1)


class _Gate(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.f = nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = x * self.f(x)
        return result


class _Block(nn.Module):
    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        width = sizes.width
        self.layer_norm = ChannelNorm(width) if sizes.layer_norm else nn.Identity()
        activation = nn.Mish() if sizes.real else nn.GELU()
        self.add_module(MIXERS[sizes.real], _Mixer(width, *sizes.mixing, activation))
        self.lk = _LargeKernels(sizes)
        self.attn = _Gate(width) if sizes.gates else nn.Identity()
        self.refine = nn.Conv2d(width, width, 1)
        grouped = sizes.real and not sizes.layer_norm
        self.norm = nn.GroupNorm(NORM_GROUPS, width) if grouped else nn.Identity()
        self.mixer = MIXERS[sizes.real]

    def forward(self, x: Tensor) -> Tensor:
        mixed = getattr(self, self.mixer)(self.layer_norm(x))
        result: Tensor = x + self.norm(self.refine(self.attn(self.lk(mixed))))
        return result


class Plksr(nn.Module):
    """Pictures (batch, 3, height, width) in [0, 1], enlarged."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.scale = sizes.scale
        between = [nn.Identity()] if sizes.real else []
        self.feats = nn.Sequential(
            nn.Conv2d(3, sizes.width, 3, padding=1),
            *(_Block(sizes) for _ in range(sizes.blocks)),
            *between,
            nn.Conv2d(sizes.width, 3 * sizes.scale**2, 3, padding=1),
        )
        if sizes.groups is None:
            self.to_img: nn.Module = nn.PixelShuffle(sizes.scale)
        else:
            self.to_img = DySample(takes=3 * sizes.scale**2, gives=3, scale=sizes.scale, groups=sizes.groups)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.to_img(self.feats(x) + x.repeat_interleave(self.scale**2, dim=1))
        return result


def _recognises(shapes: Shapes) -> bool:
    mixes = any(f"feats.1.{mixer}.0.weight" in shapes for mixer in MIXERS)
    return mixes and {"feats.0.weight", "feats.1.refine.weight"} <= shapes.keys()


def _design(shapes: Shapes, read: TensorReader) -> Design | str:
    del read
    if "feats.1.lk.convs.0.weight" in shapes:
        return "it has sparse kernels, whose spacing its shapes do not tell"
    real = "feats.1.channel_mixer.0.weight" in shapes
    mixer, count = f"feats.1.{MIXERS[real]}", layers(shapes, "feats.")
    heads = [name for name in shapes if name.startswith("feats.1.lk.") and name.endswith(".weight")]
    kernels = {name.split(".")[3]: shapes[name] for name in heads}
    last = shapes[f"feats.{count - 1}.weight"]
    scale = math.isqrt(last[0] // 3)
    places = shapes.get("to_img.init_pos")
    sizes = Sizes(
        width=shapes["feats.0.weight"][0],
        seen=next(iter(kernels.values()))[0],
        blocks=count - (3 if real else 2),
        scale=scale,
        real=real,
        mixing=(shapes[f"{mixer}.0.weight"][2], shapes[f"{mixer}.2.weight"][2]),
        kernels={name: (shape[2], shape[3]) for name, shape in kernels.items()},
        gates="feats.1.attn.f.0.weight" in shapes,
        layer_norm="feats.1.layer_norm.weight" in shapes,
        groups=None if places is None else places[1] // (2 * scale**2),
    )
    grouped = real and not sizes.layer_norm
    require(not grouped or sizes.width % NORM_GROUPS == 0)
    return Design(
        make=lambda: Plksr(sizes),
        scale=scale,
        takes=shapes["feats.0.weight"][1],
        gives=last[0] // max(scale, 1) ** 2,
        half=not grouped,
    )


ARCHITECTURE = Architecture(title="PLKSR", recognises=_recognises, design=_design)
