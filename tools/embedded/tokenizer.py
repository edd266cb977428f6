"""A CLIP tokenizer in which every word of the grammar is one token and any other text falls into bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from tools.embedded.models import TEXT_POSITIONS
from tools.embedded.words import all_words

START, END = "<|startoftext|>", "<|endoftext|>"
_WORD_END = "</w>"


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """`tokens` maps a token to its id; `merges` joins pairs in order of rank (byte-pair encoding)."""

    tokens: dict[str, int]
    merges: tuple[tuple[str, str], ...]

    def tokenizer(self) -> CLIPTokenizer:
        """The transformers tokenizer of this vocabulary, 77 positions."""
        return CLIPTokenizer(
            vocab=dict(self.tokens), merges=[tuple(m) for m in self.merges], model_max_length=TEXT_POSITIONS
        )


def vocabulary() -> Vocabulary:
    """The vocabulary of the grammar: 256 byte symbols, the same at word end, merged words, start and end of text."""
    symbols = _byte_symbols()
    merges: dict[tuple[str, str], int] = {}
    for word in all_words():
        pieces = _pieces(word, merges)
        while len(pieces) > 1:
            merges[(pieces[0], pieces[1])] = len(merges)
            pieces = [pieces[0] + pieces[1], *pieces[2:]]
    names = [
        *symbols,
        *(s + _WORD_END for s in symbols),
        *dict.fromkeys(a + b for a, b in merges),
        START,
        END,
    ]
    return Vocabulary(tokens={name: number for number, name in enumerate(names)}, merges=tuple(merges))


def token_ids(tokenizer: CLIPTokenizer, texts: Sequence[str]) -> Tensor:
    """The texts' tokens, each padded or cut to 77: (count, 77)."""
    encoded = tokenizer(list(texts), padding="max_length", truncation=True, return_tensors="pt")
    tokens: Tensor = encoded["input_ids"]
    return tokens


def hidden_states(encoder: CLIPTextModel, tokenizer: CLIPTokenizer, texts: Sequence[str]) -> Tensor:
    """What a frozen text encoder makes of the texts: (count, 77, width), on the encoder's device."""
    device = next(encoder.parameters()).device
    with torch.no_grad():
        hidden: Tensor = encoder(token_ids(tokenizer, texts).to(device)).last_hidden_state
    return hidden


def _pieces(word: str, merges: dict[tuple[str, str], int]) -> list[str]:
    """`word` after all merges known so far, lowest rank first."""
    pieces = [*word[:-1], word[-1] + _WORD_END]
    while True:
        ranked = [(merges[pair], k) for k, pair in enumerate(pairwise(pieces)) if pair in merges]
        if not ranked:
            return pieces
        _, k = min(ranked)
        pieces = [*pieces[:k], pieces[k] + pieces[k + 1], *pieces[k + 2 :]]


def _byte_symbols() -> list[str]:
    """The printable stand-ins for the 256 bytes in GPT-2's and CLIP's byte-pair encoding."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [b for b in range(256) if b not in printable]
    return [chr(b) for b in printable] + [chr(256 + k) for k in range(len(hidden))]
