"""A model's text encoders as node packs use them: tokens by encoder, and embeddings of tokens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from nodes.packs.faces import Face, run_context
from nodes.values import Clip, Patch

if TYPE_CHECKING:
    from torch import Tensor

    from nodes.diffusion.encoded_text import EncodedText
    from nodes.diffusion.text_encoder import TextEncoder

_NAMES: Final = {"clip_l": "l", "clip_g": "g", "clip_h": "h", "t5": "t5xxl"}

Tokens = dict[str, list[list[tuple[Any, ...]]]]


class ClipFace(Face[Clip]):
    """Text encoders, as `comfy.sd.CLIP` is used."""

    comfy_name = "CLIP"

    def __init__(self, value: Clip) -> None:
        self.value = value

    def clone(self, disable_dynamic: bool = False) -> ClipFace:
        """The same encoders; changing one face leaves the other as it is."""
        del disable_dynamic
        return ClipFace(self.value)

    def with_patch(self, patch: Patch) -> ClipFace:
        """The same encoders with one more patch."""
        return ClipFace(replace(self.value, patches=(*self.value.patches, patch)))

    def clip_layer(self, layer_idx: int | None) -> None:
        """Take embeddings from this layer, counted from the end."""
        self.value = replace(self.value, stop_at_layer=layer_idx)

    @property
    def layer_idx(self) -> int | None:
        """The layer that embeddings are taken from; None is the model's own."""
        return self.value.stop_at_layer

    def tokenize(self, text: str, return_word_ids: bool = False, **options: object) -> Tokens:
        """The tokens of a prompt by encoder ("l", "g", "h", "t5xxl"): rows of pairs of a token and its weight."""
        del options
        with self._encoder() as encoder:
            return {
                _name(tower.spec.part): [
                    [
                        (token, weight, 0) if return_word_ids else (token, weight)
                        for token, weight in zip(row.tokens, row.weights, strict=True)
                    ]
                    for row in tower.chunks(text, "comfy")
                ]
                for tower in encoder.towers
            }

    def encode_from_tokens(
        self, tokens: Mapping[str, Any], return_pooled: bool | str = False, return_dict: bool = False
    ) -> Any:
        """Embeddings (1, tokens, width) of tokens; with `return_pooled` the pooled vector beside them."""
        encoded = self._encoded(tokens)
        if return_dict:
            return {"cond": encoded.embeddings, "pooled_output": encoded.pooled}
        return (encoded.embeddings, encoded.pooled) if return_pooled else encoded.embeddings

    def encode_from_tokens_scheduled(
        self,
        tokens: Mapping[str, Any],
        unprojected: bool = False,
        add_dict: Mapping[str, Any] | None = None,
        show_pbar: bool = True,
    ) -> list[list[Any]]:
        """A conditioning of tokens, with `add_dict` in its dictionary."""
        del unprojected, show_pbar
        encoded = self._encoded(tokens)
        return [[encoded.embeddings, {"pooled_output": encoded.pooled, **(add_dict or {})}]]

    def encode(self, text: str) -> Tensor:
        """Embeddings (1, tokens, width) of a prompt."""
        found: Tensor = self.encode_from_tokens(self.tokenize(text))
        return found

    def set_tokenizer_option(self, option_name: str, value: object) -> None:
        """Accepted, and without effect: tokens are cut as ComfyUI cuts them by default."""
        del option_name, value

    @contextmanager
    def _encoder(self) -> Iterator[TextEncoder]:
        from nodes.diffusion.store import ModelStore

        with run_context().service(ModelStore).text_encoder(self.value) as encoder:
            yield encoder

    def _encoded(self, tokens: Mapping[str, Any]) -> EncodedText:
        with self._encoder() as encoder:
            rows = {
                tower.spec.part: _chunks(tokens[_name(tower.spec.part)])
                for tower in encoder.towers
                if _name(tower.spec.part) in tokens
            }
            empty = {
                tower.spec.part: tower.chunks("", "comfy")
                for tower in encoder.towers
                if tower.spec.part not in rows
            }
            return encoder.encode_rows({**rows, **empty}, layer=self.value.stop_at_layer)


def _name(part: str) -> str:
    return _NAMES.get(part, part)


def _chunks(rows: Sequence[Sequence[Sequence[Any]]]) -> tuple[Any, ...]:
    from nodes.diffusion.prompt import Chunk

    return tuple(
        Chunk(
            tuple(item[0] if not hasattr(item[0], "item") else item[0].item() for item in row),
            tuple(float(item[1]) for item in row),
        )
        for row in rows
    )
