"""Definitions come from object_info JSON, in the shapes that servers of different ages send."""

from __future__ import annotations

import json
from typing import Any

import pytest

from graphcore.errors import DocumentError
from graphcore.formats.ui import ObjectInfoDefinitions
from graphcore.formats.ui.definitions import read_object_info
from tests.formats.ui.drawing import DEFINITIONS


def defined(**entry: Any) -> Any:
    return ObjectInfoDefinitions.from_json({"Some": entry}).get("Some")


def test_old_and_new_combos_read_alike() -> None:
    node = defined(
        input={"required": {"old": [["a", "b"]], "new": ["COMBO", {"options": ["a", "b"]}], "bare": "MODEL"}}
    )
    assert [(spec.type, spec.choices) for spec in node.inputs] == [
        ("COMBO", ("a", "b")),
        ("COMBO", ("a", "b")),
        ("MODEL", None),
    ]


def test_inputs_follow_the_order_that_the_server_gives() -> None:
    node = defined(
        input={"optional": {"z": ["INT"]}, "required": {"a": ["INT"], "b": ["INT"], "c": ["INT"]}},
        input_order={"required": ["c", "a", "not there"]},
    )
    assert [(spec.name, spec.required) for spec in node.inputs] == [
        ("c", True),
        ("a", True),
        ("b", True),
        ("z", False),
    ]


def test_hidden_inputs_are_none_of_the_converters_business() -> None:
    assert defined(input={"hidden": {"prompt": "PROMPT"}}).inputs == ()


@pytest.mark.parametrize("title", [None, "", 5])
def test_a_class_without_a_title_goes_by_its_name(title: Any) -> None:
    assert defined(display_name=title).display_name == "Some"


def test_outputs_may_be_lists_of_options() -> None:
    assert [output.type for output in defined(output=["IMAGE", ["a", "b"]]).outputs] == ["IMAGE", "COMBO"]


def test_an_unknown_class_is_none() -> None:
    assert DEFINITIONS.get("Nowhere") is None


def test_numbers_beyond_64_bits_are_read() -> None:
    text = json.dumps({"Some": {"input": {"required": {"n": ["INT", {"min": -(2**64)}]}}}}).encode()
    node = ObjectInfoDefinitions.from_json(read_object_info(text)).get("Some")
    assert node is not None
    assert node.inputs[0].settings["min"] == -(2**64)


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"\xff", b"[" * 100_000, b'{"a": ' + b"9" * 5000 + b"}"])
def test_what_is_no_object_info_is_refused(text: bytes) -> None:
    with pytest.raises(DocumentError) as caught:
        read_object_info(text)
    assert caught.value.code == "bad-object-info"
