"""What a class declares is what ComfyUI's clients are told, as plain JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from graphcore.formats.object_info import node_info
from tests.packs_nodes.prompts import PackEngine


def info(packs: PackEngine, name: str) -> Any:
    spec = packs.engine.registry.get(name)
    assert spec is not None
    return json.loads(json.dumps(node_info(spec), allow_nan=False))


def test_every_widget_option_is_there(packs: PackEngine) -> None:
    found = info(packs, "BasicsWidgets")
    required = found["input"]["required"]
    assert required["text"] == ["STRING", {"default": "", "multiline": True, "dynamicPrompts": True}]
    assert required["strength"][1] == {"default": 1.0, "min": 0.0, "max": 2.0, "step": 0.01, "round": 0.001}
    assert required["seed"][1]["max"] == 2**64 - 1
    assert required["mode"] == [["fast", "slow"], {"default": "fast"}]
    assert required["colour"] == ["COMBO", {"options": ["red", "blue"], "default": "red"}]
    assert found["input"]["optional"]["forced"][1] == {"forceInput": True, "defaultInput": True}
    assert found["input_order"]["required"][:2] == ["text", "strength"]


def test_the_class_says_what_it_is(packs: PackEngine) -> None:
    found = info(packs, "BasicsWidgets")
    assert found["display_name"] == "Every Widget"
    assert found["python_module"] == "custom_nodes.basics"
    assert (found["deprecated"], found["experimental"], found["api_node"]) == (True, True, False)
    assert (found["output"], found["output_name"], found["output_tooltips"]) == (
        ["STRING"],
        ["told"],
        ["What was given."],
    )
    assert found["output_node"] is True
    assert found["search_aliases"] == ["form"]
    assert info(packs, "Basics Number")["description"] == "Gives a number."


def test_hidden_inputs_lists_and_wildcards(packs: PackEngine) -> None:
    assert info(packs, "BasicsHidden")["input"]["hidden"]["me"] == "UNIQUE_ID"
    assert info(packs, "BasicsMakeList")["output_is_list"] == [True, False]
    assert info(packs, "BasicsMakeList")["output_name"] == ["item", "item"]
    assert info(packs, "BasicsJoinList")["is_input_list"] is True
    assert info(packs, "BasicsShow")["input"]["required"]["value"] == ["*", {}]
    assert info(packs, "BasicsFlexible")["input"]["optional"] == {"first": ["INT", {"default": 0}]}


def test_lists_of_choices_are_those_of_the_moment(
    packs: PackEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BASICS_FOLDER", str(tmp_path / "shelf"))
    (tmp_path / "shelf").mkdir()
    assert info(packs, "BasicsFolderChoice")["input"]["required"]["file"][0] == []
    (tmp_path / "shelf" / "new.png").touch()
    assert info(packs, "BasicsFolderChoice")["input"]["required"]["file"][0] == ["new.png"]
