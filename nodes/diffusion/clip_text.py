"""A CLIP text encoder (Radford et al. 2021) that can be asked for any hidden layer and given token vectors.

The layers are those of transformers. The way through them is ours, so that a layer before the last can be taken
without computing the rest, and vectors of textual inversion can stand in the place of tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel


@dataclass(frozen=True, slots=True, eq=False)
class TextFeatures:
    """What an encoder says of token rows: `hidden` (rows, tokens, width), `pooled` (rows, width or projection)."""

    hidden: Tensor
    pooled: Tensor | None


class ClipText(nn.Module):
    """CLIP's text tower with the names of transformers: `text_model.*`, and `text_projection` where there is one.

    `config` holds the keys of CLIPTextConfig; `projection_dim` is there if, and only if, the weights have one.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        projection = config.get("projection_dim")
        settings = CLIPTextConfig(
            **{**config, "attn_implementation": "sdpa", "projection_dim": projection or 1}
        )
        model: Any = CLIPTextModel(settings)
        inner = getattr(model, "text_model", model)
        self.text_model: Any = inner
        self.text_projection: nn.Linear | None = None
        if projection is not None:
            self.text_projection = nn.Linear(settings.hidden_size, projection, bias=False)
        self.layers = int(settings.num_hidden_layers)
        self.positions = int(settings.max_position_embeddings)

    @property
    def vocabulary(self) -> int:
        """How many tokens there are."""
        return int(self.text_model.embeddings.token_embedding.num_embeddings)

    def embed(self, tokens: Tensor) -> Tensor:
        """Token vectors (rows, tokens, width), before positions are added."""
        vectors: Tensor = self.text_model.embeddings.token_embedding(tokens)
        return vectors

    def forward(
        self,
        vectors: Tensor,
        *,
        layer: int = -1,
        final_norm: bool = True,
        ends: Tensor | None = None,
        project: bool = True,
    ) -> TextFeatures:
        """Encode token vectors (rows, tokens, width).

        `layer` is the hidden layer wanted, -1 the last; `final_norm` applies the last norm to it. `ends` (rows,)
        is the place of each row's first end token: if given, the last layer's output there is pooled too, normed
        and, where there is a projection and `project` says so, projected.
        """
        inner = self.text_model
        length = vectors.shape[1]
        hidden = vectors + inner.embeddings.position_embedding.weight[:length]
        blocked = torch.full((length, length), float("-inf"), dtype=hidden.dtype, device=hidden.device)
        mask = blocked.triu(1)[None, None]
        last = max(self.layers + 1 + layer, 0)
        wanted = hidden
        for number, block in enumerate(inner.encoder.layers, start=1):
            if number > last and ends is None:
                break
            hidden = block(hidden, mask)
            if number == last:
                wanted = hidden
        if final_norm:
            wanted = inner.final_layer_norm(wanted)
        return TextFeatures(wanted, self._pool(hidden, ends, project) if ends is not None else None)

    def _pool(self, hidden: Tensor, ends: Tensor, project: bool) -> Tensor:
        rows = torch.arange(hidden.shape[0], device=hidden.device)
        pooled: Tensor = self.text_model.final_layer_norm(hidden[rows, ends.to(hidden.device)])
        if project and self.text_projection is not None:
            pooled = self.text_projection(pooled)
        return pooled
