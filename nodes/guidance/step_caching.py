"""The node that lets sampling leave out what hardly changes from step to step."""

from __future__ import annotations

from typing import Annotated

from graphcore import Range, node
from nodes.choices import Share
from nodes.guidance.guidance_options import StepReuseOption
from nodes.guidance.model_sampling import with_option
from nodes.values import Model


@node(
    "EasyCache",
    category="advanced/debug/model",
    title="EasyCache",
    aliases=("LazyCache",),
    experimental=True,
)
def easy_cache(
    model: Model,
    reuse_threshold: Annotated[float, Range(0.0, 3.0, step=0.01)] = 0.2,
    start_percent: Share = 0.15,
    end_percent: Share = 0.95,
    verbose: bool = False,
) -> Model:
    """Sample faster: where predictions hardly change from step to step, use the last one again (Zhou et al. 2025).

    A larger `reuse_threshold` leaves out more steps and changes the picture more; 0 leaves out none. It acts between
    two shares of the run. `verbose` is not used.
    """
    del verbose
    return with_option(
        model, StepReuseOption(threshold=reuse_threshold, start=start_percent, end=end_percent)
    )
