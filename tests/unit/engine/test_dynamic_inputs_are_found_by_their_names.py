"""Inputs of ComfyUI's dynamic ones: what a dotted name means, and which are missing."""

from __future__ import annotations

from typing import Any

import pytest

from graphcore.dynamic_inputs import choices_of, missing, within

NUMBER = ["FLOAT", {"min": 0}]
PICTURE = ["IMAGE", {}]
GROUPS: dict[str, Any] = {
    "required": {
        "plain": ["INT", {}],
        "images": [
            "COMFY_AUTOGROW_V3",
            {"template": {"input": {"required": {"image": PICTURE}}, "prefix": "image", "min": 2, "max": 3}},
        ],
        "mode": [
            "COMFY_DYNAMICCOMBO_V3",
            {
                "options": [
                    {"key": "none", "inputs": {"required": {}}},
                    {
                        "key": "blur",
                        "inputs": {"required": {"radius": NUMBER}, "optional": {"mask": ["MASK", {}]}},
                    },
                    {
                        "key": "more",
                        "inputs": {
                            "required": {
                                "inner": [
                                    "COMFY_DYNAMICCOMBO_V3",
                                    {"options": [{"key": "x", "inputs": {"required": {"x": NUMBER}}}]},
                                ]
                            }
                        },
                    },
                ]
            },
        ],
    },
    "optional": {
        "slot": ["COMFY_DYNAMICSLOT_V3", {"slotType": "MASK", "inputs": {"required": {"feather": NUMBER}}}],
        "names": [
            "COMFY_AUTOGROW_V3",
            {"template": {"input": {"required": {"value": NUMBER}}, "names": ["red", "green"], "min": 1}},
        ],
    },
}
FULL = {"images.image0": 1, "images.image1": 2, "mode": "none"}


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("plain", ["INT", {}]),
        ("images.image2", PICTURE),
        ("images.image3", None),
        ("images.other", None),
        ("mode.radius", NUMBER),
        ("mode.inner.x", NUMBER),
        ("mode.inner.y", None),
        ("slot.feather", NUMBER),
        ("names.green", NUMBER),
        ("plain.more", None),
        ("nothing", None),
        ("", None),
        (".", None),
    ],
)
def test_a_name_means_a_declaration(name: str, found: object) -> None:
    assert within(GROUPS, name) == found


@pytest.mark.parametrize(
    ("given", "lacking"),
    [
        (FULL, []),
        ({}, ["images.image0", "images.image1", "mode"]),
        ({**FULL, "mode": "blur"}, ["mode.radius"]),
        ({**FULL, "mode": "blur", "mode.radius": 1}, []),
        ({**FULL, "mode": "more"}, ["mode.inner"]),
        ({**FULL, "mode": "more", "mode.inner": "x"}, ["mode.inner.x"]),
        ({**FULL, "mode": "unknown"}, []),
        ({**FULL, "slot": 1}, ["slot.feather"]),
        ({**FULL, "names.green": 1}, ["names.red"]),
    ],
)
def test_what_is_missing(given: dict[str, object], lacking: list[str]) -> None:
    assert list(missing(GROUPS, given)) == lacking


def test_a_combo_has_choices_and_others_have_none() -> None:
    assert choices_of(GROUPS["required"]["mode"]) == ("none", "blur", "more")
    assert choices_of(GROUPS["required"]["images"]) is None
    assert choices_of(["IMAGE"]) is None


@pytest.mark.parametrize(
    "broken",
    [
        ["COMFY_AUTOGROW_V3"],
        ["COMFY_AUTOGROW_V3", {}],
        ["COMFY_DYNAMICCOMBO_V3", None],
        ["COMFY_DYNAMICSLOT_V3", []],
    ],
)
def test_a_broken_declaration_brings_nothing(broken: list[Any]) -> None:
    groups = {"required": {"a": broken}}
    assert within(groups, "a.b") is None
    assert [name for name in missing(groups, {"a": 1}) if name != "a"] == []
