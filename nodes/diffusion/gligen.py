"""GLIGEN (Li et al. 2023): texts in boxes, seen by gated attention in each transformer block of a UNet."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from graphcore.errors import InputError, ModelFileError
from nodes.control.steering import GligenBox
from nodes.diffusion.clip_tower import ClipTower
from nodes.diffusion.layouts import gligen, unet
from nodes.diffusion.layouts.gligen import GligenNetwork
from nodes.diffusion.layouts.rules import NOT_THERE
from nodes.diffusion.network import ForwardPass, Grounding, Residuals
from nodes.diffusion.part import Part, below
from nodes.diffusion.safetensors_header import read_header
from nodes.diffusion.text_encoder import TextEncoder

MOST_BOXES = 30
"""How many boxes the network was trained with; missing ones are filled with its empty box."""
NAME = "boxes"
PREFIXES = ("", "model.diffusion_model.", "diffusion_model.")
_LOCK = threading.Lock()


def open_gligen(path: Path) -> Part:
    """The GLIGEN in a file, from its header alone.

    Raises ModelFileError for pickles, damaged files, and files of other kinds.
    """
    header = read_header(path)
    shapes = {name: info.shape for name, info in header.tensors.items()}
    for prefix in PREFIXES:
        inner = below(shapes, prefix)
        try:
            config = gligen.config_from(inner) if gligen.FIRST in inner else {}
        except NOT_THERE:
            continue
        if config.get("places"):
            return Part(name="gligen", kind="gligen", config=config, headers=(header,), prefix=prefix)
    raise ModelFileError(
        f"{path.name} is no GLIGEN text-box model; choose a file with fuser and position_net tensors.",
        code="model-file-family",
        location=str(path),
    )


@torch.inference_mode()
def text_vector(encoder: TextEncoder, text: str) -> Tensor:
    """A text's pooled vector (width,) without projection, which is how GLIGEN was trained.

    Raises InputError for text encoders of other kinds.
    """
    tower = encoder.towers[0]
    if not isinstance(tower, ClipTower):
        raise InputError("GLIGEN reads texts with CLIP; use the text encoder of Stable Diffusion 1.x.")
    plain = replace(tower, spec=replace(tower.spec, projects=False))
    pooled = plain.encode(tower.chunks(text, "comfy")[:1], None, "comfy").pooled
    assert pooled is not None
    return pooled[0].clone()


def block_names(config: Mapping[str, Any], names: Sequence[str]) -> dict[str, str]:
    """The original name of each transformer block of a UNet, by its own; `names` are those of its tensors."""
    modules = unet.modules(config)
    found: dict[str, str] = {}
    for name in names:
        head, separator, rest = name.partition(".transformer_blocks.")
        if separator and head in modules:
            index = rest.partition(".")[0]
            found[f"{head}.transformer_blocks.{index}"] = f"{modules[head]}.transformer_blocks.{index}"
    return found


@torch.no_grad()
def box_tokens(
    network: GligenNetwork, boxes: Sequence[GligenBox], size: tuple[int, int], cell: int
) -> Tensor:
    """Tokens (1, 30, width) of boxes over a latent of `size` (height, width), with cells of `cell` pixels.

    Raises InputError for more boxes than the network knows, and for a text of another width.
    """
    if len(boxes) > MOST_BOXES:
        raise InputError(
            f"There are {len(boxes)} boxes, and GLIGEN knows {MOST_BOXES} at most; apply fewer.",
            code="too-many-boxes",
        )
    null: Any = network.position_net
    width = int(null.positive_len)
    places, texts = torch.zeros(1, MOST_BOXES, 4), torch.zeros(1, MOST_BOXES, width)
    masks = torch.zeros(1, MOST_BOXES)
    height, across = (side * cell for side in size)
    for index, box in enumerate(boxes):
        if box.text.shape[-1] != width:
            raise InputError(
                f"GLIGEN takes texts {width} wide, but the text encoder gives {box.text.shape[-1]}; use the text "
                "encoder of Stable Diffusion 1.x.",
                code="wrong-family",
            )
        corners = (
            box.x / across,
            box.y / height,
            (box.x + box.width) / across,
            (box.y + box.height) / height,
        )
        places[0, index] = torch.tensor(corners)
        texts[0, index] = box.text.float()
        masks[0, index] = 1
    like = null.null_positive_feature
    return network.tokens(places.to(like), masks.to(like), texts.to(like))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GroundingPrompt:
    """A GLIGEN at work in one run; its tokens are the condition called "boxes" (see `HintNetwork`)."""

    network: GligenNetwork
    places: Mapping[str, int]
    start: float = 0.0
    end: float = 1.0

    def of_rows(self, rows: Sequence[int], batch: int) -> GroundingPrompt:
        """The same for these samples of a batch alone."""
        return self

    def __call__(self, forward: ForwardPass) -> Residuals:
        """Gated attention to the boxes, in each transformer block."""
        return Residuals(grounding=Grounding(fusers=self._fusers(), tokens=forward.conditions[NAME]))

    def _fusers(self) -> dict[str, Any]:
        return {name: self.network.fusers[place] for name, place in self.places.items()}


class GroundingSwitch(threading.local):
    """The gated attentions that the forward pass of this thread wants, by the names of their blocks."""

    fusers: Mapping[str, Any] = MappingProxyType({})

    @contextmanager
    def set(self, fusers: Mapping[str, Any]) -> Iterator[None]:
        """Ask for gated attention for the length of the block."""
        self.fusers = fusers
        try:
            yield
        finally:
            self.fusers = MappingProxyType({})


def grounding_switch(module: Any) -> GroundingSwitch:
    """What switches gated attention of a UNet; its blocks are prepared once, and do as before without any."""
    with _LOCK:
        known = getattr(module, "position_net", None)
        if isinstance(known, _Passing):
            return known.switch
        switch = GroundingSwitch()
        for name, block in module.named_modules():
            if type(block).__name__ == "BasicTransformerBlock":
                block.fuser = _Fuser(switch, name)
        module.position_net = _Passing(switch)
        return switch


class _Passing:
    """Stands where diffusers makes tokens of boxes: they are made already."""

    def __init__(self, switch: GroundingSwitch) -> None:
        self.switch = switch

    def __call__(self, objs: Tensor) -> Tensor:
        return objs


class _Fuser:
    """Stands where diffusers has a block's gated attention."""

    def __init__(self, switch: GroundingSwitch, name: str) -> None:
        self.switch, self.name = switch, name

    def __call__(self, hidden: Tensor, objs: Tensor) -> Tensor:
        fused: Tensor = self.switch.fusers[self.name](hidden, objs)
        return fused
