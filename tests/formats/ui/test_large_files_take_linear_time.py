"""Files built to be slow are not: each of these would take hours if the work grew with the square of the size."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from graphcore.errors import DocumentError
from graphcore.formats.ui import Limits, read_ui_graph
from graphcore.formats.ui.substitution import choose_dynamically
from tests.formats.ui.drawing import Sketch, convert

LENGTH = 400_000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/* " * LENGTH, "/* " * LENGTH),
        ("/" * LENGTH, ""),
        ("{" + "a" * LENGTH + "}", "a" * LENGTH),
        ("{a" * 3 + "}" * LENGTH, "aaa" + "}" * (LENGTH - 3)),
        ("/*a*///b\n" * (LENGTH // 9), "\n" * (LENGTH // 9)),
    ],
)
def test_texts(text: str, expected: str) -> None:
    assert choose_dynamically(text, Random(0)) == expected


def test_many_inputs_behind_one_long_chain() -> None:
    count = 4000
    nodes: list[dict[str, Any]] = [{"id": 0, "type": "LoadImage", "widgets_values": ["a.png"]}]
    links: list[list[Any]] = []

    def link(origin: int, target: int) -> int:
        links.append([len(links) + 1, origin, 0, target, 0, "IMAGE"])
        return len(links)

    for number in range(1, count):
        slot = {"name": "", "type": "*", "link": link(number - 1, number)}
        nodes.append({"id": number, "type": "Reroute", "inputs": [slot]})
    for number in range(count, 2 * count):
        slot = {"name": "image", "type": "IMAGE", "link": link(count - 1, number)}
        nodes.append({"id": number, "type": "Show", "inputs": [slot]})
    prompt = convert({"nodes": nodes, "links": links})
    assert all(prompt[str(number)]["inputs"]["image"] == ["0", 0] for number in range(count, 2 * count))


def test_many_get_nodes_and_file_names() -> None:
    nodes: list[dict[str, Any]] = [{"id": 0, "type": "SaveImage", "widgets_values": ["%Numbers.x%" * 50_000]}]
    links: list[list[Any]] = []
    for number in range(1, 5000):
        nodes.append({"id": 3 * number, "type": "SetNode", "widgets_values": [f"name {number}"]})
        nodes.append({"id": 3 * number + 1, "type": "GetNode", "widgets_values": [f"name {5000 - number}"]})
        slot = {"name": "image", "type": "IMAGE", "link": number}
        nodes.append({"id": 3 * number + 2, "type": "Show", "inputs": [slot]})
        links.append([number, 3 * number + 1, 0, 3 * number + 2, 0, "IMAGE"])
    assert len(convert({"nodes": nodes, "links": links})) == 5000


def test_slots_and_values_have_a_total() -> None:
    sketch = Sketch()
    for number in range(20):
        sketch.node(number, "Numbers", [0] * 100)
    with pytest.raises(DocumentError) as caught:
        read_ui_graph(sketch.file(), limits=Limits(slots=1500))
    assert caught.value.code == "too-many-slots"


def test_opened_subgraphs_count_their_slots_again() -> None:
    inputs = [(f"input {index}", "IMAGE") for index in range(100)]
    sketch = Sketch()
    for number in range(20):
        sketch.node(number, "wide")
    with pytest.raises(DocumentError) as caught:
        convert(sketch.file(Sketch().subgraph("wide", inputs, [])), limits=Limits(slots=1500))
    assert caught.value.code == "too-many-slots"
