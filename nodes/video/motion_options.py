"""What a motion module does to a model."""

from __future__ import annotations

from dataclasses import dataclass

from nodes.values import FileRef, ModelOption


@dataclass(frozen=True, slots=True, kw_only=True)
class MotionOption(ModelOption):
    """Layers over time between those of the network, which take a batch as the frames of one video.

    `linear_betas`: the noise schedule is linear, whatever the model's own is.
    """

    file: FileRef
    linear_betas: bool = True
