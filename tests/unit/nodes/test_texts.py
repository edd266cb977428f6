"""Nodes on texts."""

from __future__ import annotations

import pytest
import torch

from graphcore import InputError, detached_context
from nodes.logic.show import described, preview_any, show_text
from nodes.texts.strings import string_concatenate, string_length, text_format, text_join, text_replace
from nodes.values import Latent


def test_joining_and_replacing() -> None:
    assert text_join(["a", "", "b"], " + ") == "a + b"
    assert string_concatenate("a", "b", ", ") == "a, b"
    assert text_replace("a cat, a dog", "a ", "the ") == "the cat, the dog"
    assert text_replace("abc", "", "x") == "abc"
    assert string_length("four") == 4


@pytest.mark.parametrize(
    ("template", "wanted"),
    [
        ("a {a} cat", "a red cat"),
        ("{b:.2f} {c}", "1.50 7"),
        ("{{a}}", "{a}"),
        ("{c:03d}", "007"),
        ("plain", "plain"),
        ("(red:{b:.1f})", "(red:1.5)"),
    ],
)
def test_templates(template: str, wanted: str) -> None:
    assert text_format(template, "red", 1.5, 7) == wanted


@pytest.mark.parametrize(
    "template",
    [
        "{",
        "}",
        "{x}",
        "{a.__class__}",
        "{a[0]}",
        "{a!r}",
        "{}",
        "{0}",
        "{b:{c}}",
        "{b:999999999}",
        "{b:q}",
        "{d}",
    ],
)
def test_bad_templates_are_told(template: str) -> None:
    with pytest.raises(InputError):
        text_format(template, "red", 1.5, 7)


def test_texts_do_not_grow_without_bound() -> None:
    with pytest.raises(InputError, match="make it shorter"):
        text_replace("a" * 10_000, "a", "b" * 10_000)
    with pytest.raises(InputError, match="make it shorter"):
        text_join(["a" * 600_000] * 2)


def test_showing() -> None:
    context = detached_context()
    assert show_text(context, "hello") == "hello"
    preview_any(context, 3.5)
    assert context.shown == [{"kind": "text", "text": "hello"}, {"kind": "text", "text": "3.5"}]


def test_anything_is_described() -> None:
    assert described(Latent(torch.zeros(1, 4, 2, 2))).startswith(
        "Latent(samples: tensor [1, 4, 2, 2] from 0 to 0"
    )
    assert described([True, None, "a"]) == "[true, null, a]"
    assert described({"a": 1}) == "{a: 1}"
    assert described(object()) == "object"
