"""How a long video is cut into windows while it is sampled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from nodes.values import ModelOption

ContextSchedule = Literal["standard_static", "standard_uniform", "looped_uniform", "batched"]
FuseMethod = Literal["pyramid", "relative", "flat", "overlap-linear"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextOption(ModelOption):
    """A batch of more than `length` frames is predicted in windows of that many, which share `overlap` frames.

    `schedule` says where they begin, `fuse` how much each counts for its frames. `stride` and `closed_loop` are for
    uniform schedules: how many kinds of gaps between frames there are, and whether the end runs on into the beginning.
    `free_noise`: frames beyond the first window start from its noise, shuffled.
    """

    length: int
    overlap: int
    schedule: ContextSchedule = "standard_static"
    stride: int = 1
    closed_loop: bool = False
    fuse: FuseMethod = "pyramid"
    free_noise: bool = False
