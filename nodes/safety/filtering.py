"""The node that keeps unsafe pictures back."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

from graphcore import Context, Each, FileChoice, Range, node
from nodes.models.loaders import file_ref
from nodes.values import Image


class FilteredImages(NamedTuple):
    """The pictures after the filter; for each whether it was flagged, and its highest score."""

    images: Image
    verdicts: Each[bool]
    scores: Each[float]


@node("SafetyFilter", category="image", title="Safety Filter")
def safety_filter(
    ctx: Context,
    images: Image,
    safety_model: Annotated[str, FileChoice("safety")],
    action: Literal["block", "blur", "flag"] = "block",
    sensitivity: Annotated[float, Range(-1.0, 1.0, step=0.01)] = 0.0,
) -> FilteredImages:
    """Look for unsafe content, and make flagged pictures black ("block"), unrecognisable ("blur"), or only mark them.

    The model is a StableDiffusionSafetyChecker, file or folder. A picture is flagged if its highest score is above 0;
    `sensitivity` is added to every score. Without a whole model the node fails, and nothing passes. Verdicts stay with
    the pictures, and are written into saved files.
    """
    from nodes.diffusion.pictures import require_picture
    from nodes.diffusion.safety import SafetyCheckers, filtered

    require_picture(images)
    file = file_ref(ctx, "safety", safety_model)
    checker = ctx.service(SafetyCheckers).get(file, ctx.files.resolve("safety", safety_model))
    verdicts = checker.judge(images, sensitivity=sensitivity, action=action)
    ctx.note(safety=[{"flagged": verdict.flagged, "score": max(verdict.scores)} for verdict in verdicts])
    return FilteredImages(
        filtered(images, verdicts, action),
        Each(verdict.flagged for verdict in verdicts),
        Each(max(verdict.scores) for verdict in verdicts),
    )
