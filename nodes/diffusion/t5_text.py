"""A T5 encoder (Raffel et al. 2020) as a text tower: texts of any length, no framing but an end token.

The layers are those of transformers; vectors of tokens are given from outside, as for CLIP.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import T5Config, T5EncoderModel

from nodes.diffusion.encoded_text import EncodedText, weighted
from nodes.diffusion.families import Tower
from nodes.diffusion.prompt import Chunk, Style, parse
from nodes.values import T5Padding

PAD, END = 0, 1


class T5Text(nn.Module):
    """T5's encoder with the names of transformers: `shared`, `encoder.*`. `config` holds the keys of T5Config."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        model: Any = T5EncoderModel(T5Config(**{**config, "is_encoder_decoder": False}))
        self.shared: nn.Embedding = model.shared
        self.encoder: Any = model.encoder
        self.encoder.embed_tokens = None

    def forward(self, tokens: Tensor) -> Tensor:
        """The last hidden layer, normed: (rows, tokens, width). Filling is attended to, as SD3 was trained."""
        hidden: Tensor = self.encoder(inputs_embeds=self.shared(tokens)).last_hidden_state
        return hidden


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class T5Tower:
    """A T5 encoder ready to compute, with its tokenizer. All of a prompt is one row, filled up (77 tokens or more)."""

    spec: Tower
    module: T5Text
    tokenizer: Tokenizer
    padding: T5Padding = T5Padding()

    def chunks(self, text: str, style: Style) -> tuple[Chunk, ...]:
        """The one row of a prompt; embeddings (textual inversion) are for CLIP and have no place in it."""
        tokens: list[int] = []
        weights: list[float] = []
        for segment in parse(text, style):
            if segment.embedding:
                continue
            clean = segment.text.encode("utf-8", "replace").decode("utf-8")
            ids = self.tokenizer.encode(clean, add_special_tokens=False).ids
            tokens += ids
            weights += [segment.weight] * len(ids)
        fill = max(self.padding.least - len(tokens) - 1, self.padding.more)
        return (Chunk((*tokens, END, *[PAD] * fill), (*weights, 1.0, *[1.0] * fill)),)

    def filled(self, rows: tuple[Chunk, ...], count: int) -> tuple[Chunk, ...]:
        """The rows as they are: T5 reads no chunks."""
        del count
        return rows

    def encode(self, chunks: Sequence[Chunk], layer: int | None, style: Style) -> EncodedText:
        """Embeddings (1, tokens, width), float32 on the CPU, always of the last layer; no pooled vector."""
        del layer
        (row,) = chunks
        rows = [row.tokens]
        changes = any(weight != 1 for weight in row.weights)
        if changes and style == "comfy":
            rows.append((END, *[PAD] * (len(row.tokens) - 1)))
        hidden = self.module(torch.tensor(rows, device=self.module.shared.weight.device)).float().cpu()
        if changes:
            hidden = weighted(
                hidden[:1], torch.tensor([row.weights]), hidden[1] if style == "comfy" else None
            )
        return EncodedText(hidden, None)
