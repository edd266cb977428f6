"""Whatever a file holds, the answer is a prompt or an error of ours, never another exception."""

from __future__ import annotations

import copy
import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graphcore.errors import DocumentError, GraphcoreError
from graphcore.formats.ui import Limits, ObjectInfoDefinitions, read_ui_graph, to_api_prompt, to_ui_graph
from tests.formats.ui.drawing import DEFINITIONS, Sketch, convert, text_to_image
from tests.formats.ui.test_subgraphs_are_opened import nested, sampling, with_instance

SEEDS = [
    text_to_image().file(),
    with_instance([77, 88]).file(sampling()),
    with_instance([7], properties={"proxyWidgets": [["-1", "seed"], ["105", "steps"]]}).file(
        sampling(), nested()
    ),
    Sketch()
    .node(1, "Resize", ["noise", 77, "fixed", 33])
    .node(2, "Reroute")
    .node(3, "GetNode", ["x"])
    .node(4, "SetNode", ["x"])
    .node(5, "Batch", [3], mode=4)
    .wire(1, 0, 2, "", "*")
    .wire(2, 0, 4, "", "*")
    .wire(3, 0, 5, "images.image0", "IMAGE")
    .wire(5, 0, 1, "mode.like", "IMAGE")
    .file(),
]
JUNK = st.sampled_from(
    [None, True, 0, -1, -10, -20, 4, 2**70, 1.5, float("nan"), "", "3", "x" * 300, [], [[]], {}, {"a": 1}]
) | st.sampled_from(
    [[1, 4, 0, 3, 0, "MODEL"], ["-1", "seed"], {"name": "seed"}, [3, 0], "\ud800", {"": [[]]}]
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every value inside a document."""
    found = [path] if path else []
    keys = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        found.extend(places(value[key], (*path, key)))
    return found


@st.composite
def broken_files(draw: st.DrawFn) -> Any:
    """A sound file in which a few places were replaced, removed or repeated."""
    document = copy.deepcopy(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(1, 4))):
        known = places(document)
        if not known:
            break
        *path, last = draw(st.sampled_from(known))
        parent = document
        for key in path:
            parent = parent[key]
        change = draw(st.sampled_from(["replace", "remove", "repeat", "move"]))
        if change == "replace":
            parent[last] = copy.deepcopy(draw(JUNK))
        elif change == "remove":
            del parent[last]
        elif change == "move":
            source = document
            for key in draw(st.sampled_from(known)):
                if isinstance(source, dict | list) and (key in source or isinstance(key, int)):
                    source = source[key] if not isinstance(source, list) or key < len(source) else source
            parent[last] = copy.deepcopy(source)
        elif isinstance(parent, list):
            parent.append(copy.deepcopy(parent[last]))
    return document


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(broken_files())
def test_a_broken_file_gives_a_prompt_or_an_error_of_ours(document: Any) -> None:
    prompt: dict[str, Any] = {}
    with suppress(GraphcoreError):
        prompt = convert(document, seed=0)
    for entry in prompt.values():
        assert DEFINITIONS.get(entry["class_type"]) is not None
        for value in entry["inputs"].values():
            assert not isinstance(value, list) or value[0] in prompt
    to_ui_graph(prompt, DEFINITIONS)


@settings(max_examples=80, deadline=None)
@given(
    st.recursive(
        JUNK, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner), max_leaves=8
    )
)
def test_junk_is_refused_or_read(junk: Any) -> None:
    for document in (
        junk,
        {"nodes": junk},
        {"nodes": [junk]},
        {"nodes": [], "links": junk, "definitions": junk},
    ):
        with suppress(GraphcoreError):
            convert(document)
    entry = {"input": {"required": junk, "optional": {"a": junk}}, "output": junk, "input_order": junk}
    with suppress(GraphcoreError):
        ObjectInfoDefinitions.from_json({"A": entry}).get("A")


@settings(max_examples=80, deadline=None)
@given(
    st.dictionaries(st.text(max_size=3), JUNK | st.fixed_dictionaries({"class_type": JUNK, "inputs": JUNK}))
)
def test_junk_prompts_are_drawn_or_refused(prompt: Any) -> None:
    with suppress(GraphcoreError):
        to_ui_graph(prompt, DEFINITIONS)


@pytest.mark.parametrize(
    ("change", "code", "pointer"),
    [
        ({"nodes": {}}, "not-a-ui-graph", ""),
        ({"nodes": [7]}, "bad-ui-graph", "/nodes/0"),
        ({"nodes": [{"id": 1}]}, "bad-ui-graph", "/nodes/0/type"),
        ({"nodes": [{"id": True, "type": "Show"}]}, "bad-ui-graph", "/nodes/0/id"),
        ({"nodes": [{"id": 10**5000, "type": "Show"}]}, "bad-ui-graph", "/nodes/0/id"),
        ({"nodes": [{"id": 1, "type": "Show"}] * 2}, "duplicate-node-id", "/nodes/1"),
        ({"nodes": [{"id": 1, "type": "Show", "inputs": 5}]}, "bad-ui-graph", "/nodes/0/inputs"),
        ({"links": [[1, 2]]}, "bad-ui-graph", "/links/0"),
        ({"definitions": []}, "bad-ui-graph", "/definitions"),
    ],
)
def test_the_error_says_where(change: dict[str, Any], code: str, pointer: str) -> None:
    with pytest.raises(DocumentError) as caught:
        read_ui_graph({"nodes": [], "links": [], **change})
    assert (caught.value.code, caught.value.pointer) == (code, pointer)


def test_size_is_bounded() -> None:
    document = text_to_image().file()
    for limits, code in ((Limits(nodes=6), "bad-ui-graph"), (Limits(links=8), "bad-ui-graph")):
        with pytest.raises(DocumentError) as caught:
            read_ui_graph(document, limits=limits)
        assert caught.value.code == code


def test_a_node_linked_to_itself_converts() -> None:
    sketch = Sketch().node(1, "KSampler", [5]).wire(1, 0, 1, "latent_image", "LATENT")
    assert convert(sketch.file())["1"]["inputs"]["latent_image"] == ["1", 0]


def test_the_document_is_not_changed() -> None:
    document = with_instance([77, 88]).node(3, "PrimitiveNode", [9]).file(sampling())
    before = json.dumps(document)
    graph = read_ui_graph(document)
    assert to_api_prompt(graph, DEFINITIONS) == to_api_prompt(graph, DEFINITIONS)
    assert json.dumps(document) == before
