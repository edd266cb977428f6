"""Text to embeddings: a prompt through all of a model's text encoders.

    prompt ──parse──> segments ──tokenizer, embeddings──> groups ──chunked──> rows of 77
           ──tower──> hidden states ──weights──> embeddings (1, 77 * chunks, width), pooled (1, width)

A weight w moves a token's vector away from that of the empty prompt: z = empty + w * (z - empty).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Protocol

import torch
from torch import Tensor

from graphcore.errors import InputError
from nodes.diffusion.encoded_text import EncodedText
from nodes.diffusion.families import Family, Tower
from nodes.diffusion.joint_text import JointWidths, joined_as_sd3
from nodes.diffusion.prompt import Chunk, Style


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

    `widths` are those that SD3's network takes.
    """

    def __init__(
        self, family: Family, towers: Sequence[TextTower], *, widths: JointWidths | None = None
    ) -> None:
        self.family = family
        self.towers = tuple(towers)
        self.widths = widths or JointWidths()

    @torch.inference_mode()
    def encode(
        self, text: str | Mapping[str, str | None], *, layer: int | None = None, style: Style = "comfy"
    ) -> EncodedText:
        """Encode a prompt, or one prompt for each tower by its part's name ("clip_l", "clip_g", "t5").

        `layer` is the hidden layer to take, counted from the end; None is the family's own. Towers' vectors stand
        side by side; a shorter prompt is filled up with empty chunks. None leaves a tower of SD3 out. Raises InputError
        for unknown embeddings.
        """
        return self.encode_with_gradient(text, layer=layer, style=style)

    def encode_with_gradient(
        self, text: str | Mapping[str, str | None], *, layer: int | None = None, style: Style = "comfy"
    ) -> EncodedText:
        """`encode` as a function that can be differentiated, for training."""
        texts = {tower.spec.part: _text_for(tower, text) for tower in self.towers}
        rows = {
            tower.spec.part: tower.chunks(own, style)
            for tower in self.towers
            if (own := texts[tower.spec.part]) is not None
        }
        left_out = set() if isinstance(text, str) else {part for part, own in text.items() if own is None}
        return self._encoded(rows, layer, style, left_out)

    @torch.inference_mode()
    def encode_rows(
        self, rows: Mapping[str, tuple[Chunk, ...]], *, layer: int | None = None, style: Style = "comfy"
    ) -> EncodedText:
        """Encode a prompt that is cut into rows already, for each tower by its part's name."""
        return self._encoded(rows, layer, style)

    def _encoded(
        self,
        rows: Mapping[str, tuple[Chunk, ...]],
        layer: int | None,
        style: Style,
        left_out: Set[str] = frozenset(),
    ) -> EncodedText:
        longest = max((len(own) for own in rows.values()), default=1)
        encoded = {
            tower.spec.part: tower.encode(tower.filled(rows[tower.spec.part], longest), layer, style)
            for tower in self.towers
            if tower.spec.part in rows
        }
        if self.family.joins == "sd3":
            return joined_as_sd3(encoded, self.widths, left_out=left_out)
        side_by_side = torch.cat([out.embeddings for out in encoded.values()], dim=-1)
        return EncodedText(side_by_side.clone(), self._pooled(list(encoded.values())))

    def _pooled(self, encoded: Sequence[EncodedText]) -> Tensor | None:
        pairs = [(tower.spec, out.pooled) for tower, out in zip(self.towers, encoded, strict=True)]
        wanted = [pooled for spec, pooled in pairs if spec.pooled and pooled is not None]
        found = wanted or [pooled for _, pooled in pairs[:1] if pooled is not None]
        return torch.cat(found, dim=-1).clone() if found else None


def _text_for(tower: TextTower, text: str | Mapping[str, str | None]) -> str | None:
    if isinstance(text, str):
        return text
    part = tower.spec.part
    if part not in text:
        raise InputError(
            f"There is no prompt for the text encoder '{part}'; give one for each of the model's encoders."
        )
    return text[part]
