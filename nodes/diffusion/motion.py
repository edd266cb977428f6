"""AnimateDiff (Guo et al. 2023) at work: layers over time after those of a UNet, as hooks on a module of its own.

A motion layer follows the attention of a block, or its residual layer where there is none. It sees the rows of one
batch as the frames of one video.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from graphcore.context import Context
from graphcore.errors import InputError, ModelFileError
from nodes.diffusion.motion_file import MotionFile, load_motion, open_motion
from nodes.diffusion.network import FRAMES, LatentScene
from nodes.diffusion.store import ModelStore
from nodes.diffusion.unet_network import UNetNetwork
from nodes.values import ConditioningEntry, FileRef, Model
from nodes.video.context_options import ContextOption
from nodes.video.motion_options import MotionOption


def require_motion_fits(ctx: Context, model: Model, file: FileRef) -> None:
    """Raise ModelFileError unless a motion module was made for networks of this model's shape; reads headers alone."""
    store = ctx.service(ModelStore)
    part = store.checkpoint(model.file).part(model.part)
    motion = store.opened(file, open_motion)
    if not _fits(motion, part.kind, part.config):
        raise ModelFileError(
            f"The motion module '{file.name}' was made for another family of models than {model.file.name}; choose one "
            "for it.",
            code="wrong-family",
            location=file.name,
        )


def _fits(motion: MotionFile, kind: str, config: Any) -> bool:
    layers = config.get("layers_per_block", 2)
    each = layers if isinstance(layers, (list, tuple)) else [layers] * len(motion.widths)
    return (
        kind == "unet"
        and tuple(config["block_out_channels"]) == motion.widths
        and all(count == motion.layers for count in each)
    )


@dataclass(slots=True, eq=False)
class _Frames:
    """How many rows are one video."""

    count: int = 1


def animate(
    network: UNetNetwork,
    option: MotionOption,
    resolve: Callable[[FileRef], Path],
    windows: ContextOption | None = None,
) -> None:
    """Hang a motion module on a network that nobody else uses; it sees all frames, or those of one of the windows."""
    motion = open_motion(resolve(option.file))
    adapter: Any = load_motion(motion).to(network.device, network.dtype)
    frames = _Frames()
    for layer, follower in _pairs(network.module, adapter):
        layer.register_forward_hook(_following(follower, frames))
    plain = network.conditions

    def conditions(entry: ConditioningEntry, scene: LatentScene) -> dict[str, Tensor]:
        count = len(scene.latent)
        if windows is not None:
            count = min(count, windows.length)
        if count > motion.frames:
            raise InputError(
                f"This motion module knows {motion.frames} frames at most, and here are {count}; ask for fewer, or let "
                "ContextWindowsManual cut them into windows.",
                code="too-many-frames",
            )
        return {**plain(entry, scene), FRAMES: torch.tensor([[len(scene.latent)]])}

    def begin(conditions: Mapping[str, Tensor]) -> None:
        frames.count = int(conditions[FRAMES][0, 0])

    network.conditions = conditions  # type: ignore[method-assign]
    network.begin = begin


def _pairs(unet: Any, adapter: Any) -> Iterator[tuple[nn.Module, nn.Module]]:
    """The network's layers, each with the motion layer that follows it."""
    for blocks, motions in ((unet.down_blocks, adapter.down_blocks), (unet.up_blocks, adapter.up_blocks)):
        for block, motion in zip(blocks, motions, strict=True):
            layers = getattr(block, "attentions", None) or block.resnets
            yield from zip(layers, motion.motion_modules, strict=True)
    if adapter.mid_block is not None:
        yield unet.mid_block.attentions[0], adapter.mid_block.motion_modules[0]


def _following(follower: nn.Module, frames: _Frames) -> Callable[[nn.Module, Any, Any], Any]:
    def follow(layer: nn.Module, inputs: Any, output: Any) -> Any:
        if isinstance(output, tuple):
            return (follower(output[0], num_frames=frames.count), *output[1:])
        return follower(output, num_frames=frames.count)

    return follow
