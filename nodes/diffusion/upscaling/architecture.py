"""What an architecture says of itself: how its files are recognised, and which network their shapes describe."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from nodes.diffusion.layouts.unet import Shapes

TensorReader = Callable[[str], Tensor]
"""Reads one tensor of a file, by its name there."""
RGB_MEAN = (0.4488, 0.4371, 0.4040)
"""The mean colour of DIV2K, which many networks subtract (Lim et al. 2017, "EDSR")."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """The network that a file's shapes describe.

    It takes pictures (batch, `takes`, height, width) in [0, 1] of any size and enlarges them `scale` times. `half` says
    whether fp16 is safe, `tile` which side is computed at once. Weights of the file that are not in the network are
    refused, but for names that `spare` matches.
    """

    make: Callable[[], nn.Module]
    scale: int
    takes: int = 3
    gives: int = 3
    half: bool = True
    tile: int = 512
    spare: re.Pattern[str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """A kind of network. `design` gives what shapes describe, or says in words why it cannot be used.

    Both are asked with the names that `rename` gives. `design` raises one of `NOT_THERE` where tensors are missing.
    """

    title: str
    recognises: Callable[[Shapes], bool]
    design: Callable[[Shapes, TensorReader], Design | str]
    rename: Callable[[Shapes], Mapping[str, str]] | None = None


def layers(shapes: Shapes, prefix: str) -> int:
    """How many numbered layers stand under a prefix: one more than the highest number.

    Raises ValueError if there is none, or if the number is higher than there are tensors.
    """
    numbers = {name[len(prefix) :].partition(".")[0] for name in shapes if name.startswith(prefix)}
    count = 1 + max(int(number) for number in numbers if number.isdigit())
    require(count <= len(shapes))
    return count


def require(*conditions: bool) -> None:
    """Raise ValueError, one of `NOT_THERE`, unless all are true of a file's shapes."""
    if not all(conditions):
        raise ValueError("the layers do not fit each other")
