"""Instances of subgraphs are expanded in place, with the values that each of them shows as its own."""

from __future__ import annotations

from typing import Any

import pytest

from graphcore.errors import DocumentError
from graphcore.formats.ui import Limits, read_ui_graph, to_api_prompt
from tests.formats.ui.drawing import DEFINITIONS, SUBGRAPH_INPUT, SUBGRAPH_OUTPUT, Sketch, convert

OUTER, INNER = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
INPUTS = [("model", "MODEL"), ("latent", "LATENT"), ("seed", "INT"), ("steps", "INT")]


def sampling() -> dict[str, Any]:
    """Two samplers that share the input `steps`; the first one makes the output."""
    sketch = Sketch()
    for number, values in ((101, [5, "fixed", 11, 3.5]), (102, [6, "fixed", 12, 4.5])):
        sketch.node(number, "KSampler", values).wire(SUBGRAPH_INPUT, 0, number, "model", "MODEL")
        sketch.wire(SUBGRAPH_INPUT, 3, number, "steps", "INT", widget=True)
    sketch.wire(SUBGRAPH_INPUT, 1, 101, "latent_image", "LATENT")
    sketch.wire(SUBGRAPH_INPUT, 2, 101, "seed", "INT", widget=True)
    sketch.wire(101, 0, SUBGRAPH_OUTPUT, "0", "LATENT")
    return sketch.subgraph(OUTER, INPUTS, [("LATENT", "LATENT")])


def with_instance(values: Any = None, **fields: Any) -> Sketch:
    sketch = Sketch().node(1, "CheckpointLoaderSimple").node(2, "EmptyLatentImage").node(20, "Show")
    sketch.node(10, OUTER, values, gives=["LATENT"], **fields)
    sketch.wire(1, 0, 10, "model", "MODEL").wire(2, 0, 10, "latent", "LATENT")
    return sketch.wire(10, 0, 20, "latent", "LATENT")


def samplers(sketch: Sketch, *subgraphs: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The inputs of the two samplers inside instance 10."""
    prompt = convert(sketch.file(*(subgraphs or (sampling(),))))
    return prompt["10:101"]["inputs"], prompt["10:102"]["inputs"]


def test_inner_nodes_are_named_by_their_path_and_linked_through_the_border() -> None:
    prompt = convert(with_instance().file(sampling()))
    assert list(prompt) == ["1", "2", "20", "10:101", "10:102"]
    assert prompt["20"]["inputs"]["latent"] == ["10:101", 0]
    assert prompt["10:101"]["inputs"]["model"] == ["1", 0]
    assert prompt["10:101"]["inputs"]["latent_image"] == ["2", 0]
    assert prompt["10:102"]["inputs"]["model"] == ["1", 0]


def test_promoted_values_of_the_instance_go_to_every_widget_behind_the_input() -> None:
    first, second = samplers(with_instance([77, 88]))
    assert (first["seed"], first["steps"], second["seed"], second["steps"]) == (77, 88, 6, 88)


@pytest.mark.parametrize("values", [None, [], [None, None]])
def test_without_a_value_the_first_inner_widget_speaks_for_all(values: Any) -> None:
    first, second = samplers(with_instance(values))
    assert (first["seed"], first["steps"], second["steps"]) == (5, 11, 11)


def test_a_linked_promoted_input_takes_the_link() -> None:
    sketch = with_instance([77, 88]).node(3, "Numbers").wire(3, 0, 10, "steps", "INT", widget=True)
    first, second = samplers(sketch)
    assert first["steps"] == second["steps"] == ["3", 0]
    assert first["seed"] == 77


def test_a_primitive_sets_a_promoted_input() -> None:
    sketch = with_instance([77, 88]).node(3, "PrimitiveNode", [123, "fixed"])
    first, second = samplers(sketch.wire(3, 0, 10, "steps", "INT", widget=True))
    assert (first["steps"], second["steps"]) == (123, 123)


def test_older_files_list_their_promoted_widgets_as_proxies() -> None:
    proxies = [["-1", "steps"], ["102", "cfg"], ["-1", "seed"]]
    first, second = samplers(with_instance([77, 2.5, 99], properties={"proxyWidgets": proxies}))
    assert (first["seed"], first["steps"], second["cfg"]) == (99, 77, 2.5)


def test_proxies_without_values_show_what_the_inner_nodes_hold() -> None:
    first, second = samplers(with_instance([], properties={"proxyWidgets": [["102", "cfg"], ["-1", "seed"]]}))
    assert (first["seed"], second["cfg"]) == (5, 4.5)


def test_instances_of_one_definition_hold_their_own_values() -> None:
    sketch = with_instance([77, 88]).node(11, OUTER, [1, 2], gives=["LATENT"])
    prompt = convert(sketch.wire(10, 0, 11, "latent", "LATENT").file(sampling()))
    assert (prompt["10:101"]["inputs"]["steps"], prompt["11:101"]["inputs"]["steps"]) == (88, 2)
    assert prompt["11:101"]["inputs"]["latent_image"] == ["10:101", 0]


def test_a_muted_instance_is_left_out_whole() -> None:
    prompt = convert(with_instance([77, 88], mode=2).file(sampling()))
    assert list(prompt) == ["1", "2", "20"]
    assert prompt["20"]["inputs"] == {"count": 1}


def test_a_bypassed_instance_passes_its_fitting_input_on() -> None:
    prompt = convert(with_instance([77, 88], mode=4).file(sampling()))
    assert prompt["20"]["inputs"]["latent"] == ["2", 0]


def nested() -> dict[str, Any]:
    """Holds an instance of `sampling`, a primitive, and a wire straight from input to output."""
    sketch = Sketch().node(105, OUTER, [70, 80], gives=["LATENT"]).node(106, "PrimitiveNode", [31, "fixed"])
    sketch.node(107, "KSampler", [6, "fixed", 12]).wire(106, 0, 107, "steps", "INT", widget=True)
    sketch.wire(SUBGRAPH_INPUT, 0, 105, "model", "MODEL").wire(SUBGRAPH_INPUT, 1, 105, "latent", "LATENT")
    sketch.wire(SUBGRAPH_INPUT, 2, 105, "seed", "INT", widget=True)
    sketch.wire(105, 0, SUBGRAPH_OUTPUT, "0", "LATENT")
    sketch.wire(SUBGRAPH_INPUT, 1, SUBGRAPH_OUTPUT, "1", "LATENT")
    return sketch.subgraph(INNER, INPUTS[:3], [("LATENT", "LATENT"), ("same", "LATENT")])


def around_nested(values: Any) -> dict[str, Any]:
    sketch = with_instance(values)
    next(node for node in sketch.nodes if node["id"] == 10)["type"] = INNER
    return convert(sketch.wire(10, 1, 20, "anything", "*").file(sampling(), nested()))


def test_definitions_nest_and_promote_through_several_levels() -> None:
    prompt = around_nested([7])
    assert prompt["20"]["inputs"]["latent"] == ["10:105:101", 0]
    assert prompt["10:105:101"]["inputs"]["model"] == ["1", 0]
    assert (prompt["10:105:101"]["inputs"]["seed"], prompt["10:105:101"]["inputs"]["steps"]) == (7, 80)
    assert around_nested([])["10:105:101"]["inputs"]["seed"] == 70


def test_primitives_work_inside_a_subgraph() -> None:
    assert around_nested([7])["10:107"]["inputs"]["steps"] == 31


def test_an_output_may_come_straight_from_an_input() -> None:
    assert around_nested([7])["20"]["inputs"]["anything"] == ["2", 0]


def test_a_subgraph_that_contains_itself_is_refused() -> None:
    sketch = Sketch().node(1, OUTER)
    inside = Sketch().node(1, OUTER).subgraph(OUTER, [], [])
    with pytest.raises(DocumentError) as caught:
        convert(sketch.file(inside))
    assert caught.value.code == "recursive-subgraph"


def test_two_subgraphs_that_contain_each_other_are_refused() -> None:
    with pytest.raises(DocumentError) as caught:
        convert(
            Sketch()
            .node(1, OUTER)
            .file(
                Sketch().node(1, INNER).subgraph(OUTER, [], []),
                Sketch().node(1, OUTER).subgraph(INNER, [], []),
            )
        )
    assert caught.value.code == "recursive-subgraph"


def tower(levels: int, width: int) -> dict[str, Any]:
    subgraphs = []
    for level in range(levels):
        sketch = Sketch()
        for number in range(width):
            sketch.node(number, f"level-{level + 1}" if level + 1 < levels else "Numbers")
        subgraphs.append(sketch.subgraph(f"level-{level}", [], []))
    return Sketch().node(1, "level-0").file(*subgraphs)


def test_nesting_and_growth_are_bounded() -> None:
    with pytest.raises(DocumentError) as deep:
        convert(tower(levels=40, width=1))
    assert deep.value.code == "subgraphs-too-deep"
    with pytest.raises(DocumentError) as wide:
        convert(tower(levels=20, width=10))
    assert wide.value.code == "too-many-nodes"
    graph = read_ui_graph(tower(levels=2, width=2))
    assert len(to_api_prompt(graph, DEFINITIONS, limits=Limits(depth=2, nodes=7))) == 4
