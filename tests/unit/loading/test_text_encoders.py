"""Text embeddings equal transformers' own; weights, layers, chunks and embeddings act as they are defined to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModelWithProjection

from graphcore.errors import InputError, ModelFileError
from nodes.diffusion.prompt import chunked
from nodes.diffusion.store import ModelStore
from nodes.diffusion.text_encoder import TextEncoder
from nodes.values import Clip, FileRef
from tests import models
from tests.models import TinyModels


def reference(file: Path) -> FileRef:
    return FileRef(kind="checkpoints", name=str(file), fingerprint="test")


def store_of(**options: Any) -> ModelStore:
    return ModelStore(
        resolve=lambda file: Path(file.name), device="cpu", dtype="fp32", budget_bytes=10**9, **options
    )


Encoder = Callable[..., TextEncoder]


@pytest.fixture
def encoder(tiny_models: TinyModels) -> Iterator[Encoder]:
    from contextlib import ExitStack

    with ExitStack() as stack:

        def make(name: str, **options: Any) -> TextEncoder:
            clip = Clip(files=(reference(getattr(tiny_models, name)()),))
            return stack.enter_context(store_of(**options).text_encoder(clip))

        yield make


def theirs(part: str, module: Any) -> CLIPTextModelWithProjection:
    """Transformers' own model with the same weights; a projection of ones where there is none."""
    config = CLIPTextConfig(**module.text_model.config.to_dict())
    config.projection_dim = (
        module.text_projection.out_features if module.text_projection else config.hidden_size
    )
    model = CLIPTextModelWithProjection(config).eval()
    state = module.state_dict()
    state.setdefault("text_projection.weight", torch.eye(config.hidden_size))
    model.load_state_dict(state)
    return model


def rows(encoder: TextEncoder, text: str, tower: int = 0) -> Tensor:
    chunks = encoder.towers[tower].chunks(text, "comfy")
    return torch.tensor([chunk.tokens for chunk in chunks])


@pytest.mark.parametrize(
    ("name", "part", "layer", "final_norm"),
    [("sd1", "clip_l", -1, True), ("sd2", "clip_h", -2, True), ("refiner", "clip_g", -2, False)],
)
@torch.no_grad()
def test_embeddings_equal_transformers(
    name: str, part: str, layer: int, final_norm: bool, encoder: Encoder
) -> None:
    ours = encoder(name)
    text = "a photo of a cat and a dog"
    model = theirs(part, ours.towers[0].module)
    out = model(rows(ours, text), output_hidden_states=True)
    expected = out.hidden_states[layer]
    if final_norm:
        expected = ours.towers[0].module.text_model.final_layer_norm(expected)
    encoded = ours.encode(text)
    torch.testing.assert_close(encoded.embeddings, expected, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(encoded.pooled, out.text_embeds, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_sdxl_puts_two_encoders_side_by_side_and_pools_the_second(encoder: Encoder) -> None:
    ours = encoder("sdxl")
    text = "a red cat"
    outs = [
        theirs(tower.spec.part, tower.module)(rows(ours, text, number), output_hidden_states=True)
        for number, tower in enumerate(ours.towers)
    ]
    encoded = ours.encode(text)
    expected = torch.cat([out.hidden_states[-2] for out in outs], dim=-1)
    assert encoded.embeddings.shape == (1, 77, 64 + 128)
    torch.testing.assert_close(encoded.embeddings, expected, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(encoded.pooled, outs[1].text_embeds, atol=1e-5, rtol=1e-4)


def test_chunks_are_padded_with_the_end_token_or_with_token_zero(encoder: Encoder) -> None:
    ours = encoder("sdxl")
    end = models.VOCABULARY - 1
    first, second = rows(ours, "cat", 0)[0].tolist(), rows(ours, "cat", 1)[0].tolist()
    assert first[2:] == [end] * 75
    assert second[2:] == [end, *[0] * 74]


def test_a_weight_moves_a_token_away_from_the_empty_prompt(encoder: Encoder) -> None:
    ours = encoder("sd1")
    plain, empty = ours.encode("a red cat").embeddings, ours.encode("").embeddings
    weighted = ours.encode("a (red:1.7) cat").embeddings
    tokens = rows(ours, "a red cat")[0].tolist()
    place = tokens.index(models.byte_tokenizer()["vocab"]["red</w>"])
    expected = plain.clone()
    expected[0, place] = empty[0, place] + 1.7 * (plain[0, place] - empty[0, place])
    torch.testing.assert_close(weighted, expected, atol=1e-5, rtol=1e-4)
    assert not torch.allclose(weighted[0, place], plain[0, place])


def test_a1111_weights_keep_the_mean(encoder: Encoder) -> None:
    ours = encoder("sd1")
    plain = ours.encode("a red cat", style="a1111").embeddings
    weighted = ours.encode("a (red:1.7) cat", style="a1111").embeddings
    tokens = rows(ours, "a red cat")[0].tolist()
    place = tokens.index(models.byte_tokenizer()["vocab"]["red</w>"])
    scaled = plain.clone()
    scaled[0, place] *= 1.7
    torch.testing.assert_close(weighted, scaled * (plain.mean() / scaled.mean()), atol=1e-4, rtol=1e-3)


def test_a_long_prompt_is_its_chunks_one_after_another(encoder: Encoder) -> None:
    ours = encoder("sd1")
    both = ours.encode("red cat BREAK dog")
    parts = [ours.encode(text) for text in ("red cat", "dog")]
    torch.testing.assert_close(
        both.embeddings, torch.cat([part.embeddings for part in parts], dim=1), atol=1e-5, rtol=1e-4
    )
    torch.testing.assert_close(both.pooled, parts[0].pooled, atol=1e-5, rtol=1e-4)
    assert ours.encode("cat " * 200).embeddings.shape == (1, 3 * 77, 64)


@torch.no_grad()
def test_an_earlier_layer_can_be_taken(encoder: Encoder) -> None:
    ours = encoder("sd1")
    module = ours.towers[0].module
    out = theirs("clip_l", module)(rows(ours, "a cat"), output_hidden_states=True)
    taken = ours.encode("a cat", layer=-2)
    torch.testing.assert_close(
        taken.embeddings, module.text_model.final_layer_norm(out.hidden_states[-2]), atol=1e-5, rtol=1e-4
    )
    torch.testing.assert_close(taken.pooled, ours.encode("a cat").pooled)
    assert torch.equal(ours.encode("a cat", layer=-24).embeddings, ours.encode("a cat").embeddings)


def test_towers_may_be_given_texts_of_their_own(encoder: Encoder) -> None:
    ours = encoder("sdxl")
    mixed = ours.encode({"clip_l": "cat", "clip_g": "dog " * 100})
    assert mixed.embeddings.shape == (1, 2 * 77, 192)
    torch.testing.assert_close(
        mixed.embeddings[:, :77, :64], ours.encode("cat").embeddings[..., :64], atol=1e-5, rtol=1e-4
    )
    with pytest.raises(InputError, match="no prompt for the text encoder 'clip_l'"):
        ours.encode({"clip_g": "dog"})


def test_an_embedding_stands_in_the_place_of_tokens(encoder: Encoder, tmp_path: Path) -> None:
    module = models.sd1_parts().texts["clip_l"]
    vocabulary = models.byte_tokenizer()["vocab"]
    vectors = module.embed(torch.tensor([vocabulary["red</w>"], vocabulary["cat</w>"]]))
    save_file({"emb_params": vectors.clone()}, tmp_path / "style.safetensors")
    ours = encoder("sd1", embedding=lambda name: tmp_path / "style.safetensors" if name == "style" else None)
    expected = ours.encode("a (red cat:1.3)")
    found = ours.encode("a (embedding:style:1.3)")
    torch.testing.assert_close(found.embeddings, expected.embeddings)
    torch.testing.assert_close(found.pooled, expected.pooled)
    with pytest.raises(InputError, match="no embedding 'other'"):
        ours.encode("embedding:other")


def test_sdxl_embeddings_have_vectors_for_each_tower(encoder: Encoder, tmp_path: Path) -> None:
    file = tmp_path / "style.safetensors"
    save_file({"clip_l": torch.randn(2, 64), "clip_g": torch.randn(2, 128)}, file)
    ours = encoder("sdxl", embedding=lambda name: file)
    assert ours.encode("embedding:style cat").embeddings.shape == (1, 77, 192)
    save_file({"emb_params": torch.randn(2, 64)}, file)
    with pytest.raises(InputError, match="no vectors of width 128"):
        ours.encode("embedding:style")


def test_two_files_make_the_text_encoders_of_sdxl(encoder: Encoder, tmp_path: Path) -> None:
    parts = models.sdxl_parts().texts
    metadata = {"graphcore.tokenizer": models.byte_tokenizer()}
    files = [
        models.write(tmp_path / f"{name}.safetensors", models.clip_state(module), metadata=metadata)
        for name, module in parts.items()
    ]
    clip = Clip(files=tuple(reference(file) for file in reversed(files)), family="sdxl")
    with store_of().text_encoder(clip) as apart:
        torch.testing.assert_close(
            apart.encode("a cat").embeddings, encoder("sdxl").encode("a cat").embeddings
        )
    with (
        pytest.raises(ModelFileError, match="No text encoder 'clip_g' of SDXL"),
        store_of().text_encoder(Clip(files=(reference(files[0]),), family="sdxl")),
    ):
        pass


def test_an_empty_prompt_is_a_whole_chunk(encoder: Encoder) -> None:
    ours = encoder("sd1")
    assert ours.encode("").embeddings.shape == (1, 77, 64)
    assert len(chunked((), ours.towers[0].shape)) == 1
