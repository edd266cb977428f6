"""Prompts: weights and chunks follow ComfyUI's convention, or A1111's where that is asked for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphcore.errors import InputError
from nodes.diffusion.prompt import ChunkShape, Group, Segment, chunked, parse

SHAPE = ChunkShape(start=-1, end=-2, pad=-3)


def weights(text: str, style: str = "comfy") -> list[tuple[str, float]]:
    return [(segment.text, round(segment.weight, 4)) for segment in parse(text, style)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("a cat", [("a cat", 1)]),
        ("a (red) cat", [("a ", 1), ("red", 1.1), (" cat", 1)]),
        ("((red))", [("red", 1.21)]),
        ("(red:1.3)", [("red", 1.3)]),
        ("(red:0.5) x", [("red", 0.5), (" x", 1)]),
        ("((red:1.3))", [("red", 1.3)]),
        ("((red):1.5)", [("red", 1.65)]),
        ("(a (b:2) c:0.5)", [("a ", 0.5), ("b", 2), (" c", 0.5)]),
        ("(a:b)", [("a:b", 1.1)]),
        ("(time 12:30)", [("time 12", 30)]),
        ("(:1.2)", [(":1.2", 1.1)]),
        ("(a:-1)", [("a", -1)]),
        ("(a:nan) (b:inf)", [("a:nan", 1.1), ("b:inf", 1.1)]),
        (r"\(red\)", [("(red)", 1)]),
        (r"(\(red\):1.2)", [("(red)", 1.2)]),
        ("(open", [("(open", 1)]),
        ("close)", [("close)", 1)]),
        ("a) (b)", [("a) (b)", 1)]),
        ("((a)", [("(a", 1.1)]),
        ("()", []),
        ("[a]", [("[a]", 1)]),
    ],
)
def test_brackets_weigh_as_in_comfyui(text: str, expected: list[tuple[str, float]]) -> None:
    assert weights(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("((red:1.3) b:2)", [("red", 2.6), (" b", 2)]),
        ("[red]", [("red", round(1 / 1.1, 4))]),
        ("[(red)]", [("red", 1)]),
        ("(open", [("open", 1.1)]),
        (r"\[red\] \(x\)", [("[red] (x)", 1)]),
        ("close)", [("close)", 1)]),
        ("at 12:30", [("at 12:30", 1)]),
    ],
)
def test_brackets_weigh_as_in_a1111(text: str, expected: list[tuple[str, float]]) -> None:
    assert weights(text, "a1111") == expected


def test_break_begins_a_chunk_wherever_it_stands() -> None:
    assert [(s.text, s.breaks) for s in parse("a BREAK b")] == [("a ", False), (" b", True)]
    assert [(s.text.strip(), s.weight, s.breaks) for s in parse("(a BREAK b:1.2)")] == [
        ("a", 1.2, False),
        ("b", 1.2, True),
    ]
    assert [s.breaks for s in parse("BREAKFAST")] == [False]


def test_embeddings_are_named_with_their_weight() -> None:
    found = parse("a embedding:sub/style, (embedding:bad.safetensors:0.5)")
    assert found == (
        Segment("a "),
        Segment("sub/style", embedding=True),
        Segment(", "),
        Segment("bad.safetensors", 0.5, embedding=True),
    )
    assert not any(segment.embedding for segment in parse("notembedding:x"))


@pytest.mark.parametrize("style", ["comfy", "a1111"])
def test_brackets_too_deep_are_told_not_followed(style: str) -> None:
    with pytest.raises(InputError, match="more than 200 deep"):
        parse("(" * 100_000 + "a" + ")" * 100_000, style)  # type: ignore[arg-type]


@pytest.mark.parametrize("style", ["comfy", "a1111"])
def test_a_weight_beyond_all_numbers_that_mean_anything_is_told(style: str) -> None:
    with pytest.raises(InputError, match="beyond 10000"):
        parse("(red:" + "9" * 30 + ")", style)  # type: ignore[arg-type]


@given(st.text(alphabet="ab ()[]:\\.1", max_size=40))
def test_any_text_is_parsed(text: str) -> None:
    for style in ("comfy", "a1111"):
        assert all(isinstance(segment, Segment) for segment in parse(text, style))  # type: ignore[arg-type]


@given(st.text(alphabet="abc ,.:", max_size=40).filter(lambda text: text.strip() != ""))
def test_text_without_brackets_keeps_its_weight_and_its_letters(text: str) -> None:
    for style in ("comfy", "a1111"):
        assert "".join(segment.text for segment in parse(text, style)) == text  # type: ignore[arg-type]
        assert {segment.weight for segment in parse(text, style)} == {1.0}  # type: ignore[arg-type]


def group(count: int, first: int = 0, **options: object) -> Group:
    return Group(tuple(range(first, first + count)), **options)  # type: ignore[arg-type]


def test_an_empty_prompt_is_one_empty_chunk() -> None:
    (chunk,) = chunked((), SHAPE)
    assert chunk.tokens == (-1, -2, *[-3] * 75)
    assert chunk.weights == (1.0,) * 77


def test_a_chunk_is_framed_and_filled() -> None:
    (chunk,) = chunked([group(2), group(1, 5, weight=1.5)], SHAPE)
    assert chunk.tokens == (-1, 0, 1, 5, -2, *[-3] * 72)
    assert chunk.weights[:5] == (1.0, 1.0, 1.0, 1.5, 1.0)


def test_exactly_75_tokens_are_one_chunk_and_one_more_are_two() -> None:
    assert len(chunked([group(75)], SHAPE)) == 1
    first, second = chunked([group(76)], SHAPE)
    assert first.tokens == (-1, *range(75), -2)
    assert second.tokens[:3] == (-1, 75, -2)


def test_a_short_group_that_does_not_fit_moves_whole() -> None:
    first, second = chunked([group(70), group(7, 100)], SHAPE)
    assert first.tokens == (-1, *range(70), -2, *[-3] * 5)
    assert second.tokens[1:8] == tuple(range(100, 107))


def test_a_long_group_is_cut_where_the_chunk_ends() -> None:
    first, second = chunked([group(70), group(8, 100)], SHAPE)
    assert first.tokens == (-1, *range(70), *range(100, 105), -2)
    assert second.tokens[1:4] == (105, 106, 107)


def test_break_closes_the_chunk() -> None:
    first, second = chunked([group(3), group(2, 10, breaks=True)], SHAPE)
    assert first.tokens[:5] == (-1, 0, 1, 2, -2)
    assert second.tokens[:4] == (-1, 10, 11, -2)


def test_a1111_cuts_after_a_near_comma() -> None:
    def comma(token: object) -> bool:
        return token == 60

    first, second = chunked([group(80)], SHAPE, style="a1111", is_comma=comma)
    assert first.tokens[:62] == (-1, *range(61))
    assert first.tokens[62] == -2
    assert second.tokens[1:20] == tuple(range(61, 80))
    first, second = chunked([group(80)], SHAPE, style="a1111", is_comma=lambda token: token == 40)
    assert first.tokens == (-1, *range(75), -2)


@given(st.lists(st.integers(1, 30), max_size=20), st.sampled_from(["comfy", "a1111"]), st.integers(3, 77))
def test_no_token_is_lost_and_every_chunk_has_its_length(sizes: list[int], style: str, length: int) -> None:
    shape = ChunkShape(start=-1, end=-2, pad=-3, length=length)
    chunks = chunked([group(size) for size in sizes], shape, style=style)  # type: ignore[arg-type]
    assert all(len(chunk.tokens) == len(chunk.weights) == length for chunk in chunks)
    kept = [token for chunk in chunks for token in chunk.tokens if isinstance(token, int) and token >= 0]
    assert kept == [token for size in sizes for token in range(size)]
