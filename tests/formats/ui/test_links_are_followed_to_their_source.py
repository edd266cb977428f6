"""Links win over widgets, and pass reroutes, Get/Set pairs, primitives, muted and bypassed nodes."""

from __future__ import annotations

import pytest

from graphcore.errors import DocumentError
from tests.formats.ui.drawing import Sketch, convert, inputs_of

MUTED, BYPASSED = 2, 4


def pictures() -> Sketch:
    return Sketch().node(1, "LoadImage", ["a.png"])


def test_a_link_into_a_widget_replaces_its_value() -> None:
    sketch = Sketch().node(1, "KSampler", [5, "fixed", 11]).node(2, "Numbers")
    sketch.wire(2, 0, 1, "steps", "INT", widget=True)
    assert inputs_of(sketch)["steps"] == ["2", 0]


def test_a_widget_keeps_its_value_when_its_source_is_muted() -> None:
    sketch = Sketch().node(1, "KSampler", [5, "fixed", 11]).node(2, "Numbers", mode=MUTED)
    sketch.wire(2, 0, 1, "steps", "INT", widget=True)
    assert inputs_of(sketch)["steps"] == 11


def test_a_primitive_gives_its_first_value_to_every_widget_it_feeds() -> None:
    sketch = Sketch().node(1, "KSampler", [5, "fixed", 11]).node(2, "PrimitiveNode", [123, "fixed"])
    sketch.wire(2, 0, 1, "seed", "INT", widget=True).wire(2, 0, 1, "steps", "INT", widget=True)
    prompt = convert(sketch.file())
    assert list(prompt) == ["1"]
    assert (prompt["1"]["inputs"]["seed"], prompt["1"]["inputs"]["steps"]) == (123, 123)


def test_a_chain_of_reroutes_leads_to_its_source() -> None:
    sketch = pictures().node(2, "Reroute").node(3, "Reroute").node(4, "Show")
    sketch.wire(1, 0, 2, "", "*").wire(2, 0, 3, "", "*").wire(3, 0, 4, "image", "IMAGE")
    assert inputs_of(sketch, "4") == {"count": 1, "image": ["1", 0]}


def test_a_reroute_without_source_feeds_nothing() -> None:
    sketch = Sketch().node(2, "Reroute").socket(2, "", "*").node(4, "Show").wire(2, 0, 4, "image", "IMAGE")
    assert inputs_of(sketch, "4") == {"count": 1}


@pytest.mark.parametrize(("setter", "getter"), [("SetNode", "GetNode"), ("easy setNode", "easy getNode")])
def test_get_nodes_stand_for_the_set_node_of_their_name(setter: str, getter: str) -> None:
    sketch = pictures().node(2, setter, ["photo"]).node(3, getter, ["photo"]).node(4, "Show")
    sketch.wire(1, 0, 2, "IMAGE", "IMAGE").wire(3, 0, 4, "image", "IMAGE")
    prompt = convert(sketch.file())
    assert list(prompt) == ["1", "4"]
    assert prompt["4"]["inputs"]["image"] == ["1", 0]


def test_a_get_node_without_its_set_node_is_refused() -> None:
    sketch = Sketch().node(3, "GetNode", ["photo"]).node(4, "Show").wire(3, 0, 4, "image", "IMAGE")
    with pytest.raises(DocumentError, match="'photo'") as caught:
        convert(sketch.file())
    assert caught.value.code == "unmatched-get-node"


def test_what_a_muted_node_feeds_is_left_out() -> None:
    sketch = (
        Sketch().node(1, "LoadImage", ["a.png"], mode=MUTED).node(4, "Show").wire(1, 0, 4, "image", "IMAGE")
    )
    prompt = convert(sketch.file())
    assert list(prompt) == ["4"]
    assert prompt["4"]["inputs"] == {"count": 1}


def bypassed_blend() -> Sketch:
    sketch = pictures().node(5, "EmptyLatentImage").node(2, "Blend", mode=BYPASSED).node(4, "Show")
    sketch.wire(1, 0, 2, "first", "IMAGE").wire(1, 1, 2, "mask", "MASK")
    return sketch.wire(1, 0, 2, "second", "IMAGE").wire(5, 0, 2, "anything", "*")


def test_a_bypassed_node_passes_on_the_input_at_the_place_of_the_output_when_it_fits() -> None:
    sketch = bypassed_blend().wire(2, 3, 4, "latent", "LATENT").wire(2, 2, 4, "anything", "*")
    assert inputs_of(sketch, "4") == {"count": 1, "latent": ["5", 0], "anything": ["1", 0]}


def test_else_the_first_input_of_the_consumers_type() -> None:
    sketch = bypassed_blend().wire(2, 1, 4, "image", "IMAGE").wire(2, 0, 4, "mask", "MASK")
    assert inputs_of(sketch, "4") == {"count": 1, "image": ["1", 0], "mask": ["1", 1]}


def test_a_bypassed_sampler_passes_its_latent_through() -> None:
    sketch = (
        Sketch().node(5, "EmptyLatentImage").node(2, "KSampler", [5, "fixed"], mode=BYPASSED).node(4, "Show")
    )
    sketch.wire(5, 0, 2, "latent_image", "LATENT").wire(2, 0, 4, "latent", "LATENT")
    assert inputs_of(sketch, "4")["latent"] == ["5", 0]


def test_a_bypassed_node_without_a_fitting_input_feeds_nothing() -> None:
    sketch = (
        Sketch().node(2, "EmptyLatentImage", mode=BYPASSED).node(4, "Show").wire(2, 0, 4, "latent", "LATENT")
    )
    assert inputs_of(sketch, "4") == {"count": 1}


def test_a_bypassed_node_of_an_unknown_class_is_read_from_the_file() -> None:
    sketch = pictures().node(2, "FromSomePack", gives=["IMAGE"], mode=BYPASSED).node(4, "Show")
    sketch.wire(1, 0, 2, "picture", "IMAGE").wire(2, 0, 4, "image", "IMAGE")
    assert inputs_of(sketch, "4")["image"] == ["1", 0]


def test_inputs_that_only_the_file_knows_keep_their_links() -> None:
    sketch = pictures().node(4, "Show").wire(1, 0, 4, "extra", "IMAGE")
    assert inputs_of(sketch, "4")["extra"] == ["1", 0]


def test_links_that_run_in_a_circle_are_refused() -> None:
    sketch = Sketch().node(2, "Reroute").node(3, "Reroute").node(4, "Show")
    sketch.wire(3, 0, 2, "", "*").wire(2, 0, 3, "", "*").wire(3, 0, 4, "image", "IMAGE")
    with pytest.raises(DocumentError) as caught:
        convert(sketch.file())
    assert caught.value.code == "link-cycle"


def test_long_chains_do_not_exhaust_the_stack() -> None:
    sketch = pictures()
    for number in range(2, 5000):
        sketch.nodes.append({"id": number, "type": "Reroute", "inputs": [{"type": "*", "link": number - 1}]})
        sketch.links.append([number - 1, number - 1, 0, number, 0, "*"])
    sketch.node(6000, "Show").wire(4999, 0, 6000, "image", "IMAGE")
    assert inputs_of(sketch, "6000")["image"] == ["1", 0]


def test_a_link_that_the_file_does_not_hold_is_refused() -> None:
    sketch = Sketch().node(4, "Show").socket(4, "image", "IMAGE")
    sketch.inputs(4)[0]["link"] = 77
    with pytest.raises(DocumentError, match="link 77") as caught:
        convert(sketch.file())
    assert caught.value.code == "dangling-link"
