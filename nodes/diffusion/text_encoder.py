"""Text to embeddings: a prompt through all of a model's text encoders.

    prompt ──parse──> segments ──tokenizer, embeddings──> groups ──chunked──> rows of 77
           ──tower──> hidden states ──weights──> embeddings (1, 77 * chunks, width), pooled (1, width)

A weight w moves a token's vector away from that of the empty prompt: z = empty + w * (z - empty).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from graphcore.errors import InputError
from nodes.diffusion.encoded_text import EncodedText
from nodes.diffusion.families import Family, Tower
from nodes.diffusion.prompt import Chunk, Style

JOINT_WIDTH = 4096
"""How wide SD3's text is, where nothing says otherwise."""


class TextTower(Protocol):
    """A text encoder with its tokenizer."""

    @property
    def spec(self) -> Tower: ...

    def chunks(self, text: str, style: Style) -> tuple[Chunk, ...]:
        """The rows of a prompt."""
        ...

    def filled(self, rows: tuple[Chunk, ...], count: int) -> tuple[Chunk, ...]:
        """The rows and as many empty ones as make `count`, where the tower reads in chunks."""
        ...

    def encode(self, chunks: Sequence[Chunk], layer: int | None, style: Style) -> EncodedText:
        """Encode rows; `layer` counts from the end (-1 the last), None is the tower's own."""
        ...


class TextEncoder:
    """A model's text encoders as one, joined as its family wants them.

    `joint_width` is the width that SD3's network takes.
    """

    def __init__(
        self, family: Family, towers: Sequence[TextTower], *, joint_width: int = JOINT_WIDTH
    ) -> None:
        self.family = family
        self.towers = tuple(towers)
        self.joint_width = joint_width

    @torch.inference_mode()
    def encode(
        self, text: str | Mapping[str, str], *, layer: int | None = None, style: Style = "comfy"
    ) -> EncodedText:
        """Encode a prompt, or one prompt for each tower by its part's name ("clip_l", "clip_g", "t5").

        `layer` is the hidden layer to take, counted from the end; None is the family's own. Towers' vectors stand
        side by side; a shorter prompt is filled up with empty chunks. Raises InputError for unknown embeddings.
        """
        return self.encode_with_gradient(text, layer=layer, style=style)

    def encode_with_gradient(
        self, text: str | Mapping[str, str], *, layer: int | None = None, style: Style = "comfy"
    ) -> EncodedText:
        """`encode` as a function that can be differentiated, for training."""
        rows = {tower.spec.part: tower.chunks(_text_for(tower, text), style) for tower in self.towers}
        return self._encoded(rows, layer, style)

    @torch.inference_mode()
    def encode_rows(
        self, rows: Mapping[str, tuple[Chunk, ...]], *, layer: int | None = None, style: Style = "comfy"
    ) -> EncodedText:
        """Encode a prompt that is cut into rows already, for each tower by its part's name."""
        return self._encoded(rows, layer, style)

    def _encoded(self, rows: Mapping[str, tuple[Chunk, ...]], layer: int | None, style: Style) -> EncodedText:
        longest = max(len(own) for own in rows.values())
        encoded = [
            tower.encode(tower.filled(rows[tower.spec.part], longest), layer, style) for tower in self.towers
        ]
        return EncodedText(self._joined(encoded).clone(), self._pooled(encoded))

    def _joined(self, encoded: Sequence[EncodedText]) -> Tensor:
        clips = [out.embeddings for out in encoded if out.pooled is not None]
        if self.family.joins == "width":
            return torch.cat(clips, dim=-1)
        beside = torch.cat(clips, dim=-1) if clips else torch.zeros(1, 0, self.joint_width)
        beside = functional.pad(beside, (0, self.joint_width - beside.shape[-1]))
        return torch.cat([beside, *(out.embeddings for out in encoded if out.pooled is None)], dim=1)

    def _pooled(self, encoded: Sequence[EncodedText]) -> Tensor | None:
        pairs = [(tower.spec, out.pooled) for tower, out in zip(self.towers, encoded, strict=True)]
        wanted = [pooled for spec, pooled in pairs if spec.pooled and pooled is not None]
        found = wanted or [pooled for _, pooled in pairs[:1] if pooled is not None]
        return torch.cat(found, dim=-1).clone() if found else None


def _text_for(tower: TextTower, text: str | Mapping[str, str]) -> str:
    if isinstance(text, str):
        return text
    part = tower.spec.part
    if part not in text:
        raise InputError(
            f"There is no prompt for the text encoder '{part}'; give one for each of the model's encoders."
        )
    return text[part]
