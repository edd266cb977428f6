"""A graph with unknown classes is refused with every one of them, and the pack that the file names."""

from __future__ import annotations

import pytest

from graphcore.errors import DocumentError, ValidationError
from graphcore.formats.ui import missing_classes, read_ui_graph
from tests.formats.ui.drawing import DEFINITIONS, Sketch, convert

PACK = {"cnr_id": "some-pack", "ver": "1.2.0"}


def graph() -> Sketch:
    sketch = Sketch().node(1, "Depth", properties=PACK).node(2, "Depth").node(3, "LoadImage", ["a.png"])
    sketch.node(4, "Pose", properties={"aux_id": "someone/poses"}).node(5, "Mystery")
    return sketch.node(6, "NotNeeded", mode=2).node(7, "NotNeeded", mode=4).node(8, "Note", ["hi"])


def test_each_class_once_with_its_nodes_and_pack() -> None:
    missing = missing_classes(read_ui_graph(graph().file()), DEFINITIONS)
    assert [(entry.class_type, entry.nodes, entry.pack, entry.version) for entry in missing] == [
        ("Depth", ("1", "2"), "some-pack", "1.2.0"),
        ("Pose", ("4",), "someone/poses", None),
        ("Mystery", ("5",), None, None),
    ]
    assert missing[1].as_json() == {
        "class_type": "Pose",
        "nodes": ["4"],
        "pack": "someone/poses",
        "version": None,
    }


def test_conversion_lists_them_all() -> None:
    with pytest.raises(ValidationError) as caught:
        convert(graph().file())
    assert [(problem.code, problem.got, problem.node) for problem in caught.value.problems] == [
        ("missing-node-class", "Depth", "1"),
        ("missing-node-class", "Pose", "4"),
        ("missing-node-class", "Mystery", "5"),
    ]
    assert "some-pack 1.2.0" in caught.value.problems[0].message


@pytest.mark.parametrize("name", ["workflow>Upscale", "workflow/Upscale"])
def test_legacy_group_nodes_are_refused_with_the_way_out(name: str) -> None:
    with pytest.raises(DocumentError, match="subgraph") as caught:
        convert(Sketch().node(1, name).file(extra={"groupNodes": {"Upscale": {}}}))
    assert caught.value.code == "legacy-group-node"


def test_muted_group_nodes_do_no_harm() -> None:
    assert convert(Sketch().node(1, "workflow>Upscale", mode=2).file()) == {}
