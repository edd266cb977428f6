"""Real-looking graphs of every age, broken at random, as the bytes of files: a right result or an error of ours."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graphcore import Registry
from graphcore.errors import DocumentError, GraphcoreError
from graphcore.formats.object_info import object_info
from graphcore.formats.reading import find_document, read_document
from graphcore.formats.ui import Limits, ObjectInfoDefinitions, read_ui_graph, to_api_prompt
from tests.formats.ui.drawing import DEFINITIONS, Sketch
from tools.corpus.fuzz import Target
from tools.corpus.mutation import Mutator

GRAPHS = Path(__file__).with_name("graphs")
SEEDS = [
    json.loads(path.read_text(encoding="utf-8"))
    for path in sorted(GRAPHS.glob("*.json"))
    if not path.name.endswith(".prompt.json")
]
REGISTRY = Registry.installed(allow=["graphcore"])
TARGET = Target(definitions=ObjectInfoDefinitions.from_json(object_info(REGISTRY)), registry=REGISTRY)


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(SEEDS), st.randoms(use_true_random=False))
def test_a_broken_graph_gives_a_prompt_or_an_error_of_ours(seed: Any, random: Random) -> None:
    mutator = Mutator(random)
    TARGET.outcome(mutator.text(mutator.broken(seed)))


@pytest.mark.parametrize("seed", SEEDS, ids=range(len(SEEDS)))
def test_a_sound_graph_is_converted(seed: Any) -> None:
    assert TARGET.outcome(json.dumps(seed).encode()) == "converted"


def refusal(document: Any, limits: Limits | None = None) -> str:
    """The code of the error."""
    with pytest.raises(DocumentError) as caught:
        to_api_prompt(read_ui_graph(document, limits=limits), DEFINITIONS, limits=limits)
    assert caught.value.message[-1] in ".)"
    return caught.value.code


def chain(depth: int, copies: int = 1, last: str = "VAEDecode") -> dict[str, Any]:
    """Subgraphs that hold the next one, `copies` times each."""
    return {
        "nodes": [{"id": 1, "type": "level-0"}],
        "links": [],
        "definitions": {
            "subgraphs": [
                {
                    "id": f"level-{level}",
                    "name": f"Level {level}",
                    "nodes": [
                        {"id": number, "type": f"level-{level + 1}" if level + 1 < depth else last}
                        for number in range(copies)
                    ],
                    "links": [],
                }
                for level in range(depth)
            ]
        },
    }


def test_subgraphs_may_nest_and_not_without_end() -> None:
    assert len(to_api_prompt(read_ui_graph(chain(20)), DEFINITIONS)) == 1
    assert refusal(chain(100)) == "subgraphs-too-deep"


def test_subgraphs_that_multiply_are_stopped() -> None:
    assert refusal(chain(30, copies=3)) == "too-many-nodes"


@pytest.mark.parametrize("last", ["level-0", "level-4"])
def test_a_subgraph_that_holds_itself_is_named(last: str) -> None:
    assert refusal(chain(5, last=last)) == "recursive-subgraph"


def test_a_muted_subgraph_that_holds_itself_is_never_opened() -> None:
    document = chain(1, last="level-0")
    document["nodes"][0]["mode"] = 2
    assert to_api_prompt(read_ui_graph(document), DEFINITIONS) == {}


def test_values_as_deep_as_lists_go_are_refused_by_depth() -> None:
    deep = "[" * 5000 + "]" * 5000
    with pytest.raises(DocumentError) as caught:
        find_document(f'{{"nodes": [{{"id": 1, "type": "Show", "widgets_values": {deep}}}]}}'.encode())
    assert caught.value.code == "too-deep"


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999", "9" * 30])
def test_numbers_that_no_node_can_take_are_refused(number: str) -> None:
    text = f'{{"nodes": [{{"id": 1, "type": "EmptyLatentImage", "widgets_values": [{number}]}}]}}'
    with pytest.raises(DocumentError) as caught:
        find_document(text.encode())
    assert caught.value.code in ("not-finite", "integer-too-large")


def test_null_nodes_and_links_are_passed_over() -> None:
    document = Sketch().node(1, "EmptyLatentImage", [64, 64, 1]).file()
    document["nodes"].insert(0, None)
    document["links"].append(None)
    assert list(to_api_prompt(read_ui_graph(document), DEFINITIONS)) == ["1"]


def test_ids_may_be_text() -> None:
    sketch = Sketch().node("load", "CheckpointLoaderSimple", ["a.safetensors"])
    sketch.node("words", "CLIPTextEncode", ["x"]).wire("load", 1, "words", "clip", "CLIP")
    prompt: Any = to_api_prompt(read_ui_graph(sketch.file()), DEFINITIONS)
    assert prompt["words"]["inputs"] == {"text": "x", "clip": ["load", 1]}


def test_every_error_of_a_broken_file_can_be_sent() -> None:
    mutator = Mutator(Random(4))
    for _ in range(60):
        text = mutator.text(mutator.broken(mutator.random.choice(SEEDS)))
        try:
            read_document(find_document(text), REGISTRY)
        except GraphcoreError as error:
            json.dumps(error.as_json(), ensure_ascii=False, allow_nan=False).encode()
