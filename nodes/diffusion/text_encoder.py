"""Text to embeddings: prompts through one or more CLIP towers, with weights.

    prompt ──parse──> segments ──tokenizer, embeddings──> groups ──chunked──> rows of 77
           ──tower──> hidden states ──weights──> embeddings (1, 77 * chunks, width), pooled (1, width)

A weight w moves a token's vector away from that of the empty prompt: z = empty + w * (z - empty).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from graphcore.errors import InputError
from nodes.diffusion.clip_text import ClipText
from nodes.diffusion.families import Family, Tower
from nodes.diffusion.prompt import Chunk, ChunkShape, Group, Segment, Style, Token, Vector, chunked, parse
from nodes.diffusion.tokenizer import ClipTokenizer

EmbeddingLookup = Callable[[str, str, int], Tensor]
"""Finds a textual-inversion embedding: (name, part, width) -> (rows, width). Raises InputError if there is none."""


@dataclass(frozen=True, slots=True, eq=False)
class EncodedText:
    """`embeddings` (1, tokens, width) and `pooled` (1, width), float32 on the CPU."""

    embeddings: Tensor
    pooled: Tensor | None


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

    def _group(self, segment: Segment) -> Group:
        if segment.embedding:
            width = int(self.module.text_model.config.hidden_size)
            rows = self.lookup(segment.text, self.spec.part, width)
            tokens: Sequence[Token] = [Vector(rows, row) for row in range(rows.shape[0])]
        else:
            tokens = self.tokenizer.encode(segment.text)
        return Group(tuple(tokens), segment.weight, segment.breaks)

    def encode(self, chunks: Sequence[Chunk], layer: int | None, style: Style) -> EncodedText:
        """Encode rows; `layer` counts from the end (-1 the last), None is the tower's own."""
        weighted = any(weight != 1 for chunk in chunks for weight in chunk.weights)
        rows = [chunk.tokens for chunk in chunks]
        if weighted and style == "comfy":
            rows.append(chunked((), self.shape)[0].tokens)
        ends = torch.tensor([row.index(self.tokenizer.end) for row in rows])
        taken, final_norm = self._layer(layer)
        features = self.module(self._vectors(rows), layer=taken, final_norm=final_norm, ends=ends)
        hidden = features.hidden.float().cpu()
        weights = torch.tensor([chunk.weights for chunk in chunks])
        states = hidden[: len(chunks)]
        if weighted:
            states = _weighted(states, weights, hidden[-1] if style == "comfy" else None)
        return EncodedText(states.flatten(0, 1)[None], features.pooled[:1].float().cpu())

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


def _weighted(states: Tensor, weights: Tensor, empty: Tensor | None) -> Tensor:
    factor = weights[:, :, None]
    if empty is not None:
        return torch.where(factor == 1, states, empty + (states - empty) * factor)
    scaled = states * factor
    means = states.mean(dim=(1, 2), keepdim=True) / scaled.mean(dim=(1, 2), keepdim=True)
    return torch.where((weights != 1).any(dim=1)[:, None, None], scaled * means, states)


class TextEncoder:
    """A model's text encoders as one: towers side by side, as the family wants them."""

    def __init__(self, family: Family, towers: Sequence[ClipTower]) -> None:
        self.family = family
        self.towers = tuple(towers)

    @torch.inference_mode()
    def encode(
        self, text: str | Mapping[str, str], *, layer: int | None = None, style: Style = "comfy"
    ) -> EncodedText:
        """Encode a prompt, or one prompt for each tower by its part's name ("clip_l", "clip_g").

        `layer` is the hidden layer to take, counted from the end; None is the family's own. Towers' vectors stand
        side by side; a shorter prompt is filled up with empty chunks. Raises InputError for unknown embeddings.
        """
        chunks = [tower.chunks(_text_for(tower, text), style) for tower in self.towers]
        longest = max(len(rows) for rows in chunks)
        encoded = [
            tower.encode(_filled(tower, rows, longest), layer, style)
            for tower, rows in zip(self.towers, chunks, strict=True)
        ]
        pooled = next(
            (out.pooled for tower, out in zip(self.towers, encoded, strict=True) if tower.spec.pooled),
            encoded[0].pooled,
        )
        return EncodedText(
            torch.cat([out.embeddings for out in encoded], dim=-1).clone(),
            None if pooled is None else pooled.clone(),
        )


def _text_for(tower: ClipTower, text: str | Mapping[str, str]) -> str:
    if isinstance(text, str):
        return text
    part = tower.spec.part
    if part not in text:
        raise InputError(
            f"There is no prompt for the text encoder '{part}'; give one for each of the model's encoders."
        )
    return text[part]


def _filled(tower: ClipTower, rows: tuple[Chunk, ...], count: int) -> tuple[Chunk, ...]:
    return rows + chunked((), tower.shape) * (count - len(rows))
