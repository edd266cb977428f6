"""The tokenizer gives the numbers of transformers' own, and is found wherever a vocabulary may lie."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import CLIPTokenizer

from graphcore.errors import ModelFileError
from nodes.diffusion.tokenizer import TOKENIZER_KEY, ClipTokenizer, find_tokenizer
from tests.models import VOCABULARY, byte_tokenizer

TINY = byte_tokenizer()
METADATA = {TOKENIZER_KEY: json.dumps(TINY)}
NOWHERE = Path("/nowhere/model.safetensors")
HAS_PACKAGE = importlib.util.find_spec("clip") is not None


@pytest.fixture(scope="module")
def ours() -> ClipTokenizer:
    return find_tokenizer(NOWHERE, METADATA, size=VOCABULARY)


@pytest.fixture(scope="module")
def theirs() -> CLIPTokenizer:
    merges = [tuple(merge.split(" ")) for merge in TINY["merges"]]
    return CLIPTokenizer(vocab=TINY["vocab"], merges=merges, model_max_length=77)


AWKWARD = [
    "a photo of a cat, 4k!",
    "Café NAÏVE ﬁ e\u0301",
    "猫と犬 🐈 👩‍👩‍👧",
    "it's “quoted” — don't",
    "tab\tnew\nline   spaces ",
    "<|endoftext|> x <|startoftext|>",
    "",
    "123 4.5 :) ((:",
]


@pytest.mark.parametrize("text", AWKWARD)
def test_awkward_texts_have_the_numbers_of_transformers(
    text: str, ours: ClipTokenizer, theirs: CLIPTokenizer
) -> None:
    assert ours.encode(text) == theirs(text, add_special_tokens=False)["input_ids"]


@settings(max_examples=60, deadline=None)
@given(text=st.text(max_size=60))
def test_any_text_has_the_numbers_of_transformers(text: str) -> None:
    merges = [tuple(merge.split(" ")) for merge in TINY["merges"]]
    theirs = CLIPTokenizer(vocab=TINY["vocab"], merges=merges, model_max_length=77)
    assert (
        find_tokenizer(NOWHERE, METADATA, size=VOCABULARY).encode(text)
        == theirs(text, add_special_tokens=False)["input_ids"]
    )


def test_a_lone_surrogate_is_read_as_a_question_mark(ours: ClipTokenizer) -> None:
    assert ours.encode("a\ud800") == ours.encode("a?")


def test_long_texts_are_not_cut(ours: ClipTokenizer) -> None:
    assert len(ours.encode("cat " * 500)) == 500


@pytest.mark.skipif(not HAS_PACKAGE, reason="the optional package openai-clip is not installed")
def test_the_package_gives_the_vocabulary_of_clip_without_being_imported() -> None:
    import sys

    found = find_tokenizer(NOWHERE, {}, size=49408)
    assert "clip" not in sys.modules
    assert (found.start, found.end) == (49406, 49407)
    assert found.encode("a photo of a cat") == [320, 1125, 539, 320, 2368]


def saved(folder: Path, *, fast: bool = False) -> Path:
    folder.mkdir(parents=True)
    if fast:
        merges = [tuple(merge.split(" ")) for merge in TINY["merges"]]
        CLIPTokenizer(vocab=TINY["vocab"], merges=merges, model_max_length=77).save_pretrained(folder)
    else:
        (folder / "vocab.json").write_text(json.dumps(TINY["vocab"]))
        (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(TINY["merges"]))
    return folder


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize("place", ["tokenizer", "model.tokenizer", "folder", "folder/clip"])
def test_folders_are_searched(place: str, fast: bool, tmp_path: Path, ours: ClipTokenizer) -> None:
    saved(tmp_path / place, fast=fast)
    found = find_tokenizer(tmp_path / "model.safetensors", {}, size=VOCABULARY, folders=[tmp_path / "folder"])
    assert all(found.encode(text) == ours.encode(text) for text in AWKWARD)


def test_a_vocabulary_of_another_size_is_passed_over(tmp_path: Path) -> None:
    saved(tmp_path / "tokenizer")
    with pytest.raises(ModelFileError) as raised:
        find_tokenizer(tmp_path / "model.safetensors", {}, size=999)
    message = raised.value.message
    for place in (
        "graphcore.tokenizer",
        str(tmp_path / "tokenizer"),
        f"{VOCABULARY} tokens",
        "openai-clip",
        "vocab.json",
    ):
        assert place in message


@pytest.mark.parametrize(
    "text", ["{", "[]", "{}", '{"vocab": {"a": 0}, "merges": []}', '{"vocab": 3, "merges": 4}', "[" * 99_999]
)
def test_a_damaged_tokenizer_is_told(text: str, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="damaged"):
        find_tokenizer(tmp_path / "model.safetensors", {TOKENIZER_KEY: text}, size=1)
