"""Nodes that turn a picture into the map that a ControlNet follows."""

from __future__ import annotations

from typing import Annotated

from graphcore import InputError, Range, node
from nodes.values import Image

Threshold = Annotated[float, Range(0.01, 0.99, step=0.01)]


@node("Canny", category="image/preprocessors", title="Canny Edges")
def canny(image: Image, low_threshold: Threshold = 0.4, high_threshold: Threshold = 0.8) -> Image:
    """The outlines of a picture as thin white lines on black (Canny, 1986).

    A line is kept where the change of brightness exceeds the low threshold and touches a place above the high one.
    """
    if low_threshold > high_threshold:
        raise InputError(
            f"The low threshold, {low_threshold}, is above the high one, {high_threshold}: exchange them.",
            location="low_threshold",
        )
    from nodes.diffusion.edges import canny as lines

    return lines(image, low_threshold, high_threshold)
