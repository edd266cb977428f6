"""The node that lets a model make videos longer than it knows."""

from __future__ import annotations

from typing import Annotated

from graphcore import InputError, Range, node
from nodes.guidance.model_sampling import with_option
from nodes.values import Model
from nodes.video.context_options import ContextOption, ContextSchedule, FuseMethod


@node("ContextWindowsManual", category="context", title="Context Windows", experimental=True)
def context_windows(
    model: Model,
    context_length: Annotated[int, Range(1, None)] = 16,
    context_overlap: Annotated[int, Range(0, None)] = 4,
    *,
    context_schedule: ContextSchedule,
    context_stride: Annotated[int, Range(1, None)] = 1,
    closed_loop: bool = False,
    fuse_method: FuseMethod = "pyramid",
    dim: Annotated[int, Range(0, 5)] = 0,
    freenoise: bool = False,
) -> Model:
    """Sample more frames than a motion module (AnimateDiff) or video model knows, in windows that are blended.

    At each step every window of `context_length` frames is predicted, and a frame gets the weighted mean of its windows
    (after MultiDiffusion, Bar-Tal et al. 2023). "standard_static" windows stay where they are, "standard_uniform" ones
    move from step to step, "looped_uniform" ones go around the end too, "batched" ones do not overlap.
    `context_stride` adds windows of every second, fourth ... frame; `closed_loop` makes the end lead back to the
    beginning. `freenoise` starts later frames from the first window's noise, shuffled (Qiu et al. 2023). `dim` is 0:
    the frames are the batch.
    """
    if dim:
        raise InputError(
            f"The frames of a video are its batch here, which is dimension 0 and not {dim}; set dim to 0.",
            code="unsupported-choice",
        )
    if context_overlap >= context_length:
        raise InputError(
            f"Windows of {context_length} frames cannot share {context_overlap} with the next; let the overlap be the "
            "smaller.",
            code="bad-windows",
        )
    option = ContextOption(
        length=context_length,
        overlap=context_overlap,
        schedule=context_schedule,
        stride=context_stride,
        closed_loop=closed_loop,
        fuse=fuse_method,
        free_noise=freenoise,
    )
    return with_option(model, option)
