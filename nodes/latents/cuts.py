"""Nodes that cut latents into parts and put them side by side; places and sizes are in cells, not pixels."""

from __future__ import annotations

from typing import Annotated, Literal

from graphcore import InputError, Range, node
from nodes.choices import MAX_SIDE
from nodes.values import Latent

CATEGORY = "latent/advanced"
Cells = Annotated[int, Range(1, MAX_SIDE, step=1)]


@node("LatentConcat", category=CATEGORY, title="Concatenate Latents")
def latent_concat(
    samples1: Latent, samples2: Latent, dim: Literal["x", "-x", "y", "-y", "t", "-t"]
) -> Latent:
    """Put the second latent to the right of the first (x) or below it (y); with a minus, before it."""
    from nodes.diffusion.latents import beside

    _require_plane(dim)
    return beside(samples1, samples2, dim.removeprefix("-"), second_first=dim.startswith("-"))


@node("LatentCut", category=CATEGORY, title="Cut Latent")
def latent_cut(
    samples: Latent,
    dim: Literal["x", "y", "t"],
    index: Annotated[int, Range(-MAX_SIDE, MAX_SIDE, step=1)] = 0,
    amount: Cells = 1,
) -> Latent:
    """Columns (x) or rows (y) of latents from number `index` on; negative ones count from the end."""
    from nodes.diffusion.latents import strip

    _require_plane(dim)
    return strip(samples, dim, index, amount)


@node("LatentCutToBatch", category=CATEGORY, title="Cut Latent to Batch")
def latent_cut_to_batch(samples: Latent, dim: Literal["t", "x", "y"], slice_size: Cells = 1) -> Latent:
    """Cut latents into slices of equal size, as a batch; what is left over at the end is dropped."""
    from nodes.diffusion.latents import sliced

    _require_plane(dim)
    return sliced(samples, dim, slice_size)


def _require_plane(dim: str) -> None:
    if dim.endswith("t"):
        raise InputError(
            "The latents of pictures have no time to be cut or joined along (t); choose x or y.",
            code="unsupported-choice",
        )
