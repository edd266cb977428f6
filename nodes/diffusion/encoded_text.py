"""What a text encoder says of a prompt, and what the prompt's weights do to it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class EncodedText:
    """`embeddings` (1, tokens, width) and `pooled` (1, width), float32 on the CPU."""

    embeddings: Tensor
    pooled: Tensor | None


def weighted(states: Tensor, weights: Tensor, empty: Tensor | None) -> Tensor:
    """Weigh tokens: `states` (rows, tokens, width), `weights` (rows, tokens).

    With `empty`, the vectors (tokens, width) of the empty prompt, a weight w moves a token away from it:
    z = empty + w (z - empty). Without, vectors are multiplied and each row that changed keeps its mean.
    """
    factor = weights[:, :, None]
    if empty is not None:
        return torch.where(factor == 1, states, empty + (states - empty) * factor)
    scaled = states * factor
    means = states.mean(dim=(1, 2), keepdim=True) / scaled.mean(dim=(1, 2), keepdim=True)
    return torch.where((weights != 1).any(dim=1)[:, None, None], scaled * means, states)
