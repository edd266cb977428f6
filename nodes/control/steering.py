"""Values that steer a diffusion network beside its text: ControlNets and their pictures, CLIP's view of a picture ...

Like models they are references: a file and what is to be done with it. No torch is imported here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from graphcore.sockets import socket
from nodes.values import ControlHint, FileRef, Model, Vae

if TYPE_CHECKING:
    from torch import Tensor


@socket("CLIP_VISION")
@dataclass(frozen=True, slots=True, kw_only=True)
class ClipVision:
    """A CLIP image encoder, by reference: a file of its own, or a checkpoint that brings one along."""

    file: FileRef


@socket("CLIP_VISION_OUTPUT")
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ClipVisionOutput:
    """What CLIP sees in pictures.

    `embeds` (batch, width) are comparable with those of texts; `last_hidden` and `penultimate_hidden` (batch, tokens,
    width) are the tokens after the last layer and the one before it, without a norm. `vision` is the encoder.
    """

    embeds: Tensor
    last_hidden: Tensor
    penultimate_hidden: Tensor
    vision: ClipVision


@socket("STYLE_MODEL")
@dataclass(frozen=True, slots=True, kw_only=True)
class StyleModel:
    """A style adapter, by reference."""

    file: FileRef


@socket("GLIGEN")
@dataclass(frozen=True, slots=True, kw_only=True)
class Gligen:
    """A GLIGEN text-box model, by reference."""

    file: FileRef


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GligenBox:
    """A text's vector (width,), and the box in pixels that it belongs into."""

    text: Tensor
    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GligenHint(ControlHint):
    """Texts in boxes. Without any box it is the other side of guidance."""

    gligen: Gligen
    boxes: tuple[GligenBox, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class UnclipPicture:
    """What CLIP sees in pictures, as unCLIP models take it: with a strength and a share of noise (0-1)."""

    output: ClipVisionOutput
    strength: float = 1.0
    noise: float = 0.0


@socket("IPADAPTER")
@dataclass(frozen=True, slots=True, kw_only=True)
class IpAdapter:
    """An IP-Adapter, by reference."""

    file: FileRef


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class IpAdapterHint(ControlHint):
    """Pictures as a prompt: what CLIP sees in them, and the IP-Adapter that brings it into the network.

    With `together`, every sample is shown all pictures; else each its own. With `blank` it is shown none, which is
    the other side of guidance. `mask` (batch, height, width) says where it acts. `start` and `end` are shares of the
    schedule.
    """

    adapter: IpAdapter
    output: ClipVisionOutput
    strength: float = 1.0
    start: float = 0.0
    end: float = 1.0
    mask: Tensor | None = None
    together: bool = True
    blank: bool = False


@socket("CONTROL_NET")
@dataclass(frozen=True, slots=True, kw_only=True)
class ControlNet:
    """A ControlNet or T2I-Adapter, by reference.

    `union_type` is the kind of map that a union ControlNet is shown, by its number (None: it is not told).
    `base` is the model whose weights are added to those of a ControlNet that was saved as a difference.
    """

    file: FileRef
    union_type: int | None = None
    base: Model | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ControlNetHint(ControlHint):
    """A picture that the network is to follow, with the ControlNet that reads it.

    `pixels` (batch, height, width, 3) lie over the whole latent. `start` and `end` are shares of the schedule.
    `vae` is wanted by ControlNets that read latents (SD 3); `mask` (batch, height, width), 1 where the picture is to
    be painted anew, by those that inpaint. With `everywhere`, conditionings without any hint follow it too.
    """

    control: ControlNet
    pixels: Tensor
    strength: float = 1.0
    start: float = 0.0
    end: float = 1.0
    vae: Vae | None = None
    mask: Tensor | None = None
    everywhere: bool = False
