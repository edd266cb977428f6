"""`embedding:name` in a prompt: vectors for each text encoder of a family stand where tokens would."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from graphcore import Context, InputError, ModelFileError, detached_context
from nodes.conditioning.text import clip_encode
from nodes.diffusion.conversion.convert import convert_checkpoint
from nodes.diffusion.conversion.single_file import Changes
from nodes.models.loaders import load_checkpoint
from nodes.values import ConditioningEntry
from tests import models
from tests.models import TinyModels

TOWERS = {"sd1": ("clip_l",), "sd2": ("clip_h",), "sdxl": ("clip_l", "clip_g"), "sd3": ("clip_l", "clip_g")}


def vectors(family: str, part: str, *words: str) -> Tensor:
    """The vectors that a text encoder has for words of its own."""
    vocabulary = models.byte_tokenizer()["vocab"]
    module: Any = getattr(models, f"{family}_parts")().texts[part]
    found: Tensor = module.embed(torch.tensor([vocabulary[f"{word}</w>"] for word in words]))
    return found.clone()


@pytest.fixture
def ctx(tiny_models: TinyModels, tmp_path: Path) -> Context:
    (tmp_path / "embeddings").mkdir()
    return detached_context(models_dirs=(tiny_models.folder, tmp_path), device="cpu", dtype="fp32")


def encoded(ctx: Context, tiny_models: TinyModels, family: str, text: str) -> ConditioningEntry:
    clip = load_checkpoint(ctx, getattr(tiny_models, family)().name).clip
    return clip_encode(ctx, text, clip).entries[0]


@pytest.mark.parametrize("family", TOWERS)
def test_vectors_of_words_are_those_words(
    ctx: Context, tiny_models: TinyModels, tmp_path: Path, family: str
) -> None:
    """Two words learned as a style, in each text encoder, and weighted as one."""
    named = {part: vectors(family, part, "red", "cat") for part in TOWERS[family]}
    if len(named) == 1:
        named = {"emb_params": next(iter(named.values()))}
    save_file(named, tmp_path / "embeddings" / "style.safetensors")
    found = encoded(ctx, tiny_models, family, "a (embedding:style:1.2)")
    expected = encoded(ctx, tiny_models, family, "a (red cat:1.2)")
    clips = slice(0, 77)
    torch.testing.assert_close(found.embeddings[:, clips], expected.embeddings[:, clips])
    if expected.pooled is not None:
        torch.testing.assert_close(found.pooled, expected.pooled)


def test_the_t5_of_sd3_reads_the_rest(ctx: Context, tiny_models: TinyModels, tmp_path: Path) -> None:
    named = {part: vectors("sd3", part, "red") for part in TOWERS["sd3"]}
    save_file(named, tmp_path / "embeddings" / "style.safetensors")
    found = encoded(ctx, tiny_models, "sd3", "a embedding:style")
    plain = encoded(ctx, tiny_models, "sd3", "a")
    torch.testing.assert_close(found.embeddings[:, 77:], plain.embeddings[:, 77:])
    assert not torch.allclose(found.embeddings[:, :77], plain.embeddings[:, :77])


def test_a_file_that_is_no_embedding_is_refused(
    ctx: Context, tiny_models: TinyModels, tmp_path: Path
) -> None:
    models.write(tmp_path / "embeddings" / "whole.safetensors", models.sd1_state())
    with pytest.raises(ModelFileError, match=r"whole\.safetensors holds \d+ tensors, so it is no embedding"):
        encoded(ctx, tiny_models, "sd1", "a embedding:whole")
    save_file({"emb_params": torch.full((1, 64), float("nan"))}, tmp_path / "embeddings" / "nan.safetensors")
    with pytest.raises(ModelFileError, match=r"nan\.safetensors holds values that are not finite"):
        encoded(ctx, tiny_models, "sd1", "a (embedding:nan:1.1)")


def test_the_key_that_diffusers_gives_is_the_token_itself(
    ctx: Context, tiny_models: TinyModels, tmp_path: Path
) -> None:
    save_file({"<style>": vectors("sd1", "clip_l", "red")[0]}, tmp_path / "embeddings" / "style.safetensors")
    found = encoded(ctx, tiny_models, "sd1", "a embedding:style, cat")
    expected = encoded(ctx, tiny_models, "sd1", "a red, cat")
    torch.testing.assert_close(found.embeddings, expected.embeddings)


@pytest.mark.parametrize("suffix", [".pt", ".bin"])
def test_pickled_embeddings_are_refused_and_can_be_converted(
    ctx: Context, tiny_models: TinyModels, tmp_path: Path, suffix: str
) -> None:
    """A1111's `.pt` and diffusers' `.bin`, as people have them."""
    learned, folder = vectors("sd1", "clip_l", "red", "cat"), tmp_path / "embeddings"
    kinds = {
        ".pt": {"string_to_param": {"*": learned}, "name": "style", "step": 500},
        ".bin": {"<s>": learned},
    }
    torch.save(kinds[suffix], folder / f"style{suffix}")
    with pytest.raises(ModelFileError, match=rf"convert-checkpoint style\{suffix} style\.safetensors"):
        encoded(ctx, tiny_models, "sd1", "a embedding:style")
    convert_checkpoint(folder / f"style{suffix}", folder / "style.safetensors", Changes())
    found = encoded(ctx, tiny_models, "sd1", "a embedding:style")
    torch.testing.assert_close(found.embeddings, encoded(ctx, tiny_models, "sd1", "a red cat").embeddings)


def test_an_embedding_of_another_family_is_refused(
    ctx: Context, tiny_models: TinyModels, tmp_path: Path
) -> None:
    save_file({"emb_params": torch.zeros(1, 64)}, tmp_path / "embeddings" / "style.safetensors")
    with pytest.raises(InputError, match=r"no vectors of width 128, which this model's 'clip_h' wants"):
        encoded(ctx, tiny_models, "sd2", "a embedding:style")
