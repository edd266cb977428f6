"""An API prompt becomes a UI file that reads well and converts back to the same prompt."""

from __future__ import annotations

import json
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphcore.errors import DocumentError, ValidationError
from graphcore.formats.ui import to_ui_graph
from graphcore.formats.ui.arrangement import TITLE_HEIGHT, Box, arrange
from tests.formats.ui.drawing import DEFINITIONS, convert, text_to_image

PROMPTS: dict[str, dict[str, Any]] = {
    "text to image": convert(text_to_image().file()),
    "titles, text ids, paths": {
        "load": {"class_type": "LoadImage", "inputs": {"image": "a.png"}, "_meta": {"title": "Mine"}},
        "7:3": {
            "class_type": "SaveImage",
            "inputs": {"filename_prefix": "x", "images": ["load", 0]},
            "_meta": {"title": "Save Image"},
        },
    },
    "dynamic inputs": {
        "1": {"class_type": "LoadImage", "inputs": {"image": "a.png"}},
        "2": {
            "class_type": "Resize",
            "inputs": {"mode": "noise", "mode.seed": 2**63, "mode.like": ["1", 0], "after": 4},
        },
        "3": {
            "class_type": "Batch",
            "inputs": {"count": 3, "images.image0": ["1", 0], "images.image1": ["2", 0]},
        },
        "4": {"class_type": "Join", "inputs": {"parts.part0": "p", "parts.part1": "q", "by": "-"}},
    },
    "widgets fed by links, wrapped lists, texts with braces": {
        "1": {"class_type": "Numbers", "inputs": {}},
        "2": {
            "class_type": "KSampler",
            "inputs": {
                "seed": ["1", 0],
                "steps": 3,
                "cfg": ["1", 1],
                "sampler_name": "euler",
                "scheduler": "made up",
                "denoise": 0.5,
            },
        },
        "3": {"class_type": "CLIPTextEncode", "inputs": {"text": "{a|b} // https://x.y /* c */"}},
        "4": {"class_type": "OldSocket", "inputs": {"a": {"__value__": [1, 2]}, "c": 5, "b": ["1", 2]}},
        "5": {"class_type": "Show", "inputs": {"count": 2, "undeclared": ["1", 0]}},
    },
}


def titled(prompt: dict[str, Any]) -> dict[str, Any]:
    """The prompt with the titles that the editor would add."""
    return {
        name: {
            **entry,
            "_meta": entry.get("_meta") or {"title": DEFINITIONS.get(entry["class_type"]).display_name},  # type: ignore[union-attr]
        }
        for name, entry in prompt.items()
    }


@pytest.mark.parametrize("name", PROMPTS)
def test_there_and_back_again(name: str) -> None:
    document = json.loads(json.dumps(to_ui_graph(PROMPTS[name], DEFINITIONS)))
    assert convert(document) == titled(PROMPTS[name])


def test_inputs_left_out_come_back_as_their_defaults() -> None:
    prompt = {"1": {"class_type": "EmptyLatentImage", "inputs": {"height": 64}}}
    inputs = convert(to_ui_graph(prompt, DEFINITIONS))["1"]["inputs"]
    assert inputs == {"width": 512, "height": 64, "batch_size": 1}


def test_the_file_has_what_the_editor_needs() -> None:
    document: Any = to_ui_graph(PROMPTS["text to image"], DEFINITIONS)
    assert (document["version"], document["last_node_id"], document["last_link_id"]) == (0.4, 9, 9)
    nodes = {node["id"]: node for node in document["nodes"]}
    for number, origin, slot, target, index, kind in document["links"]:
        assert number in nodes[origin]["outputs"][slot]["links"]
        assert nodes[target]["inputs"][index]["link"] == number
        assert nodes[origin]["outputs"][slot]["type"] == kind


def test_every_link_runs_from_left_to_right_and_no_nodes_overlap() -> None:
    document: Any = to_ui_graph(PROMPTS["text to image"], DEFINITIONS)
    nodes = {node["id"]: node for node in document["nodes"]}
    for _, origin, _, target, _, _ in document["links"]:
        assert nodes[origin]["pos"][0] + nodes[origin]["size"][0] < nodes[target]["pos"][0]
    boxes = [
        Box(x=n["pos"][0], y=n["pos"][1], width=n["size"][0], height=n["size"][1]) for n in nodes.values()
    ]
    assert not any(overlap(*pair) for pair in combinations(boxes, 2))


def overlap(first: Box, second: Box) -> bool:
    apart_across = first.x + first.width <= second.x or second.x + second.width <= first.x
    apart_down = (
        first.y + first.height <= second.y - TITLE_HEIGHT
        or second.y + second.height <= first.y - TITLE_HEIGHT
    )
    return not (apart_across or apart_down)


@settings(deadline=None)
@given(
    st.integers(1, 14).flatmap(
        lambda count: st.tuples(
            st.lists(st.tuples(st.integers(20, 400), st.integers(20, 400)), min_size=count, max_size=count),
            st.lists(st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)), max_size=30),
        )
    )
)
def test_any_graph_is_arranged_without_overlaps(drawn: Any) -> None:
    sizes, edges = drawn
    boxes = {str(index): Box(width=width, height=height) for index, (width, height) in enumerate(sizes)}
    placed = arrange(boxes, [(str(origin), str(target)) for origin, target in edges])
    assert placed.keys() == boxes.keys()
    assert not any(overlap(*pair) for pair in combinations(placed.values(), 2))
    for origin, target in edges:
        if all(first < second for first, second in edges):
            assert placed[str(origin)].x < placed[str(target)].x


def test_a_straight_chain_is_drawn_straight() -> None:
    boxes = {name: Box(width=100, height=50) for name in "abc"}
    placed = arrange(boxes, [("a", "b"), ("b", "c")])
    assert {box.y for box in placed.values()} == {placed["a"].y}
    assert placed["a"].x < placed["b"].x < placed["c"].x


def test_loaders_stand_next_to_the_nodes_that_use_them() -> None:
    boxes = {name: Box(width=100, height=50) for name in ("a", "b", "c", "loader")}
    placed = arrange(boxes, [("a", "b"), ("b", "c"), ("loader", "c")])
    assert placed["loader"].x == placed["b"].x


def test_unknown_classes_are_all_named() -> None:
    with pytest.raises(ValidationError) as caught:
        to_ui_graph({str(n): {"class_type": f"Pack{n % 2}", "inputs": {}} for n in range(4)}, DEFINITIONS)
    assert [problem.got for problem in caught.value.problems] == ["Pack0", "Pack1"]


@pytest.mark.parametrize(
    ("prompt", "code"),
    [
        ([], "bad-api-prompt"),
        ({"1": 5}, "bad-api-prompt"),
        ({"1": {"class_type": "Show", "inputs": {"image": ["9", 0]}}}, "dangling-link"),
    ],
)
def test_what_is_no_prompt_is_refused(prompt: Any, code: str) -> None:
    with pytest.raises(DocumentError) as caught:
        to_ui_graph(prompt, DEFINITIONS)
    assert caught.value.code == code
