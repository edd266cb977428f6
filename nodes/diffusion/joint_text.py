"""How SD3's text encoders become one text: two CLIPs side by side, filled up with zeros, and T5 after them.

    | CLIP-L | CLIP-G | 0 |  77 tokens a chunk
    |        T5           |  at least 77 tokens

Where an encoder is missing zeros stand in its place, as in diffusers' pipeline and in training, which leaves encoders
out at random (Esser et al. 2024).
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from nodes.diffusion.encoded_text import EncodedText

JOINT_WIDTH = 4096
"""How wide SD3's text is, where nothing says otherwise."""
POOLED_WIDTHS: Mapping[str, int] = {"clip_l": 768, "clip_g": 1280}
TOKENS = 77
CLIPS, T5 = ("clip_l", "clip_g"), "t5"


@dataclass(frozen=True, slots=True, kw_only=True)
class JointWidths:
    """How wide the text is that a network takes, and its pooled vector."""

    text: int = JOINT_WIDTH
    pooled: int = sum(POOLED_WIDTHS.values())

    def pooled_of(self, part: str, encoded: Mapping[str, EncodedText]) -> int:
        """How wide the pooled vector of a missing CLIP would be: what the other one leaves."""
        (other,) = (name for name in CLIPS if name != part)
        found = encoded[other].pooled if other in encoded else None
        return POOLED_WIDTHS[part] if found is None else max(self.pooled - found.shape[-1], 0)


def joined_as_sd3(
    encoded: Mapping[str, EncodedText], widths: JointWidths, *, left_out: Set[str] = frozenset()
) -> EncodedText:
    """The text of encoders by their part's name. Those that were `left_out` give no tokens: both CLIPs, or T5."""
    pieces = [] if left_out >= set(CLIPS) else [_beside(encoded, widths)]
    if T5 in encoded:
        pieces.append(encoded[T5].embeddings)
    elif T5 not in left_out:
        pieces.append(torch.zeros(1, TOKENS, widths.text))
    text = torch.cat(pieces, dim=1) if pieces else torch.zeros(1, TOKENS, widths.text)
    return EncodedText(text, _pooled(encoded, widths))


def _beside(encoded: Mapping[str, EncodedText], widths: JointWidths) -> Tensor:
    tokens = max((encoded[part].embeddings.shape[1] for part in CLIPS if part in encoded), default=TOKENS)
    left = (
        encoded["clip_l"].embeddings
        if "clip_l" in encoded
        else torch.zeros(1, tokens, widths.pooled_of("clip_l", encoded))
    )
    right = encoded["clip_g"].embeddings if "clip_g" in encoded else left[..., :0]
    beside = torch.cat([left, right], dim=-1)
    return functional.pad(beside, (0, widths.text - beside.shape[-1]))


def _pooled(encoded: Mapping[str, EncodedText], widths: JointWidths) -> Tensor:
    if not any(part in encoded for part in CLIPS):
        return torch.zeros(1, widths.pooled)
    found = {part: encoded[part].pooled if part in encoded else None for part in CLIPS}
    return torch.cat(
        [
            torch.zeros(1, widths.pooled_of(part, encoded)) if pooled is None else pooled
            for part, pooled in found.items()
        ],
        dim=-1,
    )
