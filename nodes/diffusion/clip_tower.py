"""A CLIP text encoder with its tokenizer: prompts to chunks, chunks to weighted embeddings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nodes.diffusion.clip_text import ClipText
from nodes.diffusion.encoded_text import EncodedText, weighted
from nodes.diffusion.families import Tower
from nodes.diffusion.prompt import Chunk, ChunkShape, Group, Segment, Style, Token, Vector, chunked, parse
from nodes.diffusion.tokenizer import ClipTokenizer

EmbeddingLookup = Callable[[str, str, int], Tensor]
"""Finds a textual-inversion embedding: (name, part, width) -> (rows, width). Raises InputError if there is none."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ClipTower:
    """A text encoder ready to compute, with its tokenizer and the family's way of using it.

    `layer` is the hidden layer taken unless the caller says another.
    """

    spec: Tower
    module: ClipText
    tokenizer: ClipTokenizer
    lookup: EmbeddingLookup
    layer: int

    @property
    def shape(self) -> ChunkShape:
        """What frames the rows that this tower reads."""
        end = self.tokenizer.end
        return ChunkShape(
            start=self.tokenizer.start,
            end=end,
            pad=end if self.spec.pads_with_end else 0,
            length=self.module.positions,
        )

    def chunks(self, text: str, style: Style) -> tuple[Chunk, ...]:
        """The rows of a prompt."""
        groups = [self._group(segment) for segment in parse(text, style)]
        return chunked(groups, self.shape, style=style, is_comma=self.tokenizer.is_comma)

    def filled(self, rows: tuple[Chunk, ...], count: int) -> tuple[Chunk, ...]:
        """The rows and as many empty ones as make `count`."""
        return rows + chunked((), self.shape) * (count - len(rows))

    def encode(self, chunks: Sequence[Chunk], layer: int | None, style: Style) -> EncodedText:
        """Encode rows, one after another; pooled is the first one's. `layer` counts from the end (-1 the last)."""
        changes = any(weight != 1 for chunk in chunks for weight in chunk.weights)
        rows = [chunk.tokens for chunk in chunks]
        if changes and style == "comfy":
            rows.append(chunked((), self.shape)[0].tokens)
        ends = torch.tensor([row.index(self.tokenizer.end) for row in rows])
        taken, final_norm = self._layer(layer)
        features = self.module(
            self._vectors(rows), layer=taken, final_norm=final_norm, ends=ends, project=self.spec.projects
        )
        hidden = features.hidden.float().cpu()
        states = hidden[: len(chunks)]
        if changes:
            weights = torch.tensor([chunk.weights for chunk in chunks])
            states = weighted(states, weights, hidden[-1] if style == "comfy" else None)
        return EncodedText(states.flatten(0, 1)[None], features.pooled[:1].float().cpu())

    def _group(self, segment: Segment) -> Group:
        if segment.embedding:
            width = int(self.module.text_model.config.hidden_size)
            rows = self.lookup(segment.text, self.spec.part, width)
            tokens: Sequence[Token] = [Vector(rows, row) for row in range(rows.shape[0])]
        else:
            tokens = self.tokenizer.encode(segment.text)
        return Group(tuple(tokens), segment.weight, segment.breaks)

    def _layer(self, layer: int | None) -> tuple[int, bool]:
        if layer is None:
            return self.layer, self.spec.final_norm
        if -layer > self.module.layers:
            return -1, True
        return layer, self.spec.final_norm

    def _vectors(self, rows: Sequence[Sequence[Token]]) -> Tensor:
        table = self.module.text_model.embeddings.token_embedding.weight
        plain = [[token if isinstance(token, int) else 0 for token in row] for row in rows]
        vectors = self.module.embed(torch.tensor(plain, device=table.device))
        for number, row in enumerate(rows):
            for place, token in enumerate(row):
                if isinstance(token, Vector) and isinstance(token.source, Tensor):
                    vectors[number, place] = token.source[token.row].to(vectors)
        return vectors
