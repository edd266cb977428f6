"""Nodes that let an image model draw the frames of a video: AnimateDiff's motion modules."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Literal

from graphcore import Context, FileChoice, node
from graphcore.sockets import socket
from nodes.models.loaders import file_ref
from nodes.values import FileRef, Model
from nodes.video.motion_options import MotionOption


@socket("MOTION_MODULE")
@dataclass(frozen=True, slots=True, kw_only=True)
class MotionModule:
    """A motion module, by reference."""

    file: FileRef


@node("AnimateDiffLoader", category="loaders/video_models", title="Load AnimateDiff Motion Module")
def animate_diff_loader(
    ctx: Context, motion_name: Annotated[str, FileChoice("motion_modules")]
) -> MotionModule:
    """Load a motion module of AnimateDiff (Guo et al. 2023), in its own layout or in diffusers'."""
    from nodes.diffusion.motion_file import open_motion
    from nodes.diffusion.store import ModelStore

    file = file_ref(ctx, "motion_modules", motion_name)
    ctx.service(ModelStore).opened(file, open_motion)
    return MotionModule(file=file)


@node("AnimateDiffApply", category="model_patches/video", title="Apply AnimateDiff")
def animate_diff_apply(
    ctx: Context,
    model: Model,
    motion_module: MotionModule,
    beta_schedule: Literal["linear", "as the model"] = "linear",
) -> Model:
    """Let a model see the latents of a batch as the frames of one video.

    A motion module knows so many frames at most (16, 24 or 32). Most were trained on a "linear" noise schedule, which
    takes the place of the model's own.
    """
    from nodes.diffusion.motion import require_motion_fits

    require_motion_fits(ctx, model, motion_module.file)
    option = MotionOption(file=motion_module.file, linear_betas=beta_schedule == "linear")
    others = tuple(each for each in model.options if not isinstance(each, MotionOption))
    return replace(model, options=(*others, option))
