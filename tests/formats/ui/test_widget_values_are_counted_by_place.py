"""widgets_values are read by position, whatever stands in the places that belong to no input."""

from __future__ import annotations

from typing import Any

import pytest

from tests.formats.ui.drawing import Sketch, inputs_of

SAMPLING = {
    "seed": 5,
    "steps": 11,
    "cfg": 3.5,
    "sampler_name": "euler",
    "scheduler": "karras",
    "denoise": 0.4,
}


@pytest.mark.parametrize("control", ["fixed", "increment", "decrement", "randomize", True, False, None, 0])
def test_the_place_after_a_seed_is_passed_over_whatever_it_holds(control: Any) -> None:
    sketch = Sketch().node(1, "KSampler", [5, control, 11, 3.5, "euler", "karras", 0.4])
    assert inputs_of(sketch) == SAMPLING


def test_missing_trailing_values_get_the_defaults_of_the_class() -> None:
    assert inputs_of(Sketch().node(1, "KSampler", [5, "fixed", 11, 3.5])) == {
        **SAMPLING,
        "scheduler": "normal",
        "denoise": 1.0,
    }


def test_values_beyond_the_last_widget_are_left_alone() -> None:
    sketch = Sketch().node(1, "KSampler", [5, True, 11, 3.5, "euler", "karras", 0.4, "more", [1]])
    assert inputs_of(sketch) == SAMPLING


def test_the_old_prefix_of_sampler_names_is_cut() -> None:
    sketch = Sketch().node(1, "KSampler", [5, True, 11, 3.5, "sample_euler", "karras", 0.4])
    assert inputs_of(sketch) == SAMPLING


def test_an_upload_button_owns_a_place_at_the_end_and_is_not_written() -> None:
    assert inputs_of(Sketch().node(1, "LoadImage", ["sub/b.png", "image"])) == {"image": "sub/b.png"}


def test_a_controlled_combo_has_a_control_and_a_filter() -> None:
    sketch = Sketch().node(1, "ControlledCombo", ["y", "fixed", "", 3])
    assert inputs_of(sketch) == {"pick": "y", "after": 3}


@pytest.mark.parametrize("values", [[5, "kept for a socket", 6], [5, 6]])
def test_old_files_count_sockets_by_force_input_as_places(values: list[Any]) -> None:
    assert inputs_of(Sketch().node(1, "OldSocket", values)) == {"a": 5, "c": 6}


@pytest.mark.parametrize("values", [None, []])
def test_a_node_without_values_gets_every_default(values: Any) -> None:
    assert inputs_of(Sketch().node(1, "Defaults", values)) == {
        "whole": 0,
        "number": 0,
        "text": "",
        "switch": False,
        "old_combo": "x",
        "new_combo": "q",
        "extra": "e",
    }


def test_values_are_written_as_stored_even_those_no_list_holds() -> None:
    values = [1, 0.8700000000000001, "s", True, "not listed", 17, "gone.png", "o"]
    assert list(inputs_of(Sketch().node(1, "Defaults", values)).values()) == values


def test_a_null_combo_becomes_its_first_option_and_other_nulls_stay() -> None:
    assert inputs_of(Sketch().node(1, "Defaults", [None] * 8)) == {
        "whole": None,
        "number": None,
        "text": None,
        "switch": None,
        "old_combo": "x",
        "new_combo": "p",
        "empty_combo": None,
        "extra": None,
    }


def test_a_list_is_wrapped_so_that_it_is_no_link() -> None:
    inputs = inputs_of(Sketch().node(1, "Defaults", [1, 2, ["3", 0]]))
    assert inputs["text"] == {"__value__": ["3", 0]}


def test_values_may_be_an_object_of_names() -> None:
    sketch = Sketch().node(1, "KSampler", {"steps": 9, "seed": 4, "denoise": 0.3, "unknown": 1})
    assert inputs_of(sketch) == {
        "seed": 4,
        "steps": 9,
        "cfg": 8.0,
        "sampler_name": "euler",
        "scheduler": "normal",
        "denoise": 0.3,
    }


def test_named_values_survive_a_class_that_has_changed_since() -> None:
    named = {"seed": 5, "control_after_generate": "fixed", "gone": 1, "steps": 11, "cfg": 3.5}
    sketch = Sketch().node(1, "KSampler", list(named.values()), widgets_values_named=named)
    assert inputs_of(sketch)["steps"] == 11


def test_the_list_counts_where_the_named_values_are_stale() -> None:
    sketch = Sketch().node(1, "LoadImage", ["b.png", "image"], widgets_values_named={"image": "a.png"})
    assert inputs_of(sketch) == {"image": "b.png"}


def test_a_dynamic_combo_brings_the_widgets_of_its_choice() -> None:
    assert inputs_of(Sketch().node(1, "Resize", ["size", 12, 33])) == {
        "mode": "size",
        "mode.width": 12,
        "after": 33,
    }
    assert inputs_of(Sketch().node(1, "Resize", ["noise", 77, "fixed", 33])) == {
        "mode": "noise",
        "mode.seed": 77,
        "after": 33,
    }
    assert inputs_of(Sketch().node(1, "Resize", ["none", 33])) == {"mode": "none", "after": 33}
    assert inputs_of(Sketch().node(1, "Resize")) == {"mode": "size", "mode.width": 5, "after": 1}


def test_growing_inputs_are_written_under_their_own_names() -> None:
    sketch = Sketch().node(1, "Batch", [4]).node(2, "LoadImage", ["a.png"])
    sketch.wire(2, 0, 1, "images.image0", "IMAGE").wire(2, 0, 1, "images.image1", "IMAGE")
    sketch.socket(1, "images.image2", "IMAGE")
    assert inputs_of(sketch) == {"count": 4, "images.image0": ["2", 0], "images.image1": ["2", 0]}
    assert inputs_of(Sketch().node(1, "Join", ["p", "q", "-"])) == {
        "parts.part0": "p",
        "parts.part1": "q",
        "by": "-",
    }
