"""A caption names what the scene holds, never something it does not, and each of its words is one token."""

from __future__ import annotations

import random

import pytest

from tools.embedded.captions import FULL, Manner, caption, named_kinds
from tools.embedded.held_out import load_held_out
from tools.embedded.latents import _allowed
from tools.embedded.tokenizer import vocabulary
from tools.embedded.words import COLOUR_WORDS, KIND_WORDS, PLURALS, SKY_WORDS, all_words
from tools.embedded.world import FORBIDDEN, Scene, Thing, scene_of

SCENES = [scene_of(seed, "two") for seed in range(250)]


def _kinds_said(text: str, *, counted: bool) -> set[str]:
    padded = f" {text.replace(',', ' ')} "
    said = {
        kind: (PLURALS[kind],) if counted and kind in PLURALS else KIND_WORDS[kind] for kind in named_kinds()
    }
    return {kind for kind, words in said.items() for word in words if f" {word} " in padded}


@pytest.mark.parametrize("manner", [FULL, Manner(nonsense=0)])
def test_all_things_and_only_they_are_named(manner: Manner) -> None:
    for number, scene in enumerate(SCENES):
        said = _kinds_said(caption(scene, random.Random(number), manner), counted=scene.counted)
        assert said == {thing.kind for thing in scene.things}


def test_a_full_caption_names_every_colour() -> None:
    for number, scene in enumerate(SCENES):
        text = caption(scene, random.Random(number), FULL)
        for thing in scene.things:
            assert thing.kind == FORBIDDEN or any(word in text for word in COLOUR_WORDS[thing.colour])


def test_no_other_sky_is_named() -> None:
    unsaid = {
        "day": ("night", "sunset", "dusk"),
        "sunset": ("night", "noon"),
        "night": ("noon", "sunset", "sunny"),
    }
    for number, scene in enumerate(SCENES):
        if scene.sky is not None:
            text = caption(scene, random.Random(number), FULL)
            assert any(words in text or words.split()[-1] in text for words in SKY_WORDS[scene.sky])
            assert not any(word in text for word in unsaid[scene.sky])


def test_sides_are_told_apart() -> None:
    left = Scene(things=(Thing(kind="house", colour="red", column=0),), sky="day", ground="grass")
    right = Scene(things=(Thing(kind="house", colour="red", column=2),), sky="day", ground="grass")
    for seed in range(20):
        assert "left" in caption(left, random.Random(seed), FULL)
        assert "right" in caption(right, random.Random(seed), FULL)


def test_training_scenes_leave_out_the_held_out_meanings() -> None:
    held = load_held_out()
    seeds = _allowed("one", 0, 2000, held)
    assert seeds[-1] > 1999
    assert not held.meanings & {scene_of(seed, "one").meaning() for seed in seeds}


def test_every_word_of_the_grammar_is_one_token() -> None:
    tokenizer = vocabulary().tokenizer()
    assert [word for word in all_words() if len(tokenizer(word)["input_ids"]) != 3] == []


def test_any_text_can_be_tokenized_and_is_padded_with_the_end() -> None:
    words = vocabulary()
    ids = words.tokenizer()("Zürich, 42 naïve xylophones", padding="max_length", truncation=True)["input_ids"]
    assert len(ids) == 77
    assert ids[0] == words.tokens["<|startoftext|>"]
    assert ids[-1] == words.tokens["<|endoftext|>"] == len(words.tokens) - 1
