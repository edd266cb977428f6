"""Example pictures of nodes come from valid workflows that hold the node, and show what goes in and what comes out."""

from __future__ import annotations

from typing import Final

import pytest
from PIL import Image as Picture

from graphcore import validate
from graphcore.registry import Registry
from nodes.values import Image, Mask, Sigmas
from tests.tiny_engine import all_nodes
from tools.node_pictures.example import AFTER, BEFORE, example_of
from tools.node_pictures.panel import GAP, SIDE, panel
from tools.node_pictures.pictures import picture_of
from tools.node_pictures.settings import BESIDE, CHOSEN, SKIPPED, TRIED_WITH, chosen_values

GREY: Final = (120, 120, 120)


@pytest.fixture(scope="module")
def registry() -> Registry:
    return all_nodes()


def test_every_example_is_a_valid_workflow_with_its_node(registry: Registry) -> None:
    examples = [example for spec in registry if (example := example_of(spec, registry)) is not None]
    assert len(examples) > 100
    for example in examples:
        workflow = example.workflow
        assert validate(workflow, registry) == [], example.node
        assert example.node in {held.type for held in workflow.nodes.values()}
        assert f"{AFTER}0" in workflow.outputs


def test_what_goes_in_is_shown_beside_what_comes_out(registry: Registry) -> None:
    for name, shown in (("ImageBlur", {f"{BEFORE}0", f"{AFTER}0"}), ("KarrasScheduler", {f"{AFTER}0"})):
        spec = registry.get(name)
        assert spec is not None
        example = example_of(spec, registry)
        assert example is not None
        assert set(example.workflow.outputs) == shown


def test_nodes_that_want_files_of_other_people_have_no_example(registry: Registry) -> None:
    for name in ("LoadVAE", "ApplyIPAdapter", "AnimateDiffApply", "SaveImage", "Compare"):
        spec = registry.get(name)
        assert spec is not None
        assert example_of(spec, registry) is None


def test_settings_name_nodes_and_inputs_that_are_there(registry: Registry) -> None:
    for name in (*CHOSEN, *SKIPPED, *TRIED_WITH, *BESIDE):
        assert name in registry, name
    for table in (CHOSEN, TRIED_WITH, BESIDE):
        for name, inputs in table.items():
            spec = registry.get(name)
            assert spec is not None
            assert all(spec.input(wanted) is not None for wanted in inputs), name


def test_values_are_told_below_the_picture(registry: Registry) -> None:
    spec = registry.get("ImageBlur")
    assert spec is not None
    assert chosen_values(spec) == (("blur_radius", 6), ("sigma", 3.0))


def test_sizes_of_one_picture_and_its_result_can_be_compared() -> None:
    whole = panel([Picture.new("RGB", (128, 128), GREY)], [Picture.new("RGB", (256, 256), GREY)])
    assert whole.size == (2 * SIDE + GAP, SIDE)
    left, right = whole.crop((0, 0, SIDE, SIDE)), whole.crop((SIDE + GAP, 0, 2 * SIDE + GAP, SIDE))
    assert left.getbbox() == (32, 32, 96, 96)
    assert right.getbbox() == (0, 0, 128, 128)


def test_several_pictures_share_a_side_and_transparent_ones_lie_on_squares() -> None:
    two = [Picture.new("RGB", (128, 128), GREY)] * 2
    clear = Picture.new("RGBA", (128, 128), (0, 0, 0, 0))
    whole = panel(two, [clear])
    assert whole.crop((0, 0, SIDE, SIDE)).getbbox() == (33, 0, 95, 128)
    result = whole.crop((SIDE + GAP, 0, 2 * SIDE + GAP, SIDE))
    assert len(result.getcolors() or []) == 2


def test_nothing_is_shown_where_nobody_could_see_a_change() -> None:
    import torch

    picture, mask = Image(torch.full((1, 8, 8, 3), 0.5)), Mask(torch.ones(1, 8, 8))
    assert picture_of({"before0": picture, "after0": picture}) is None
    assert picture_of({"before0": picture, "after0": mask}) is not None
    assert picture_of({"before0": picture, "after0": [picture, mask]}) is not None
    assert picture_of({"after0": Sigmas(torch.tensor([14.6, 3.0, 0.0]))}) is not None
