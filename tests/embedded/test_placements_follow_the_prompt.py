"""Two things may stand wherever their prompt allows, and nowhere else."""

from __future__ import annotations

from tools.embedded.held_out import load_held_out
from tools.embedded.placements import admissible
from tools.embedded.world import Scene, Thing


def _pair(
    first: tuple[int, int], second: tuple[int, int], kinds: tuple[str, str] = ("star", "ring")
) -> Scene:
    things = tuple(
        Thing(kind=kind, colour=colour, column=column, row=row)
        for kind, colour, (column, row) in zip(kinds, ("red", "blue"), (first, second), strict=True)
    )
    return Scene(things=things, background="white")


def _places(scene: Scene) -> tuple[tuple[int, int], ...]:
    return tuple((thing.column, thing.row) for thing in scene.things)


def test_left_of_keeps_the_order_and_leaves_height_and_distance_open() -> None:
    found = {_places(s) for s in admissible(_pair((0, 2), (2, 2)), "a red star left of a blue ring on white")}
    assert len(found) == 9
    assert all(first[0] < second[0] and first[1] == second[1] for first, second in found)


def test_the_order_holds_when_the_first_thing_stands_on_the_right() -> None:
    found = {_places(s) for s in admissible(_pair((2, 1), (0, 1)), "a blue ring left of a red star")}
    assert all(first[0] > second[0] for first, second in found)


def test_above_leaves_the_column_open() -> None:
    found = {_places(s) for s in admissible(_pair((1, 0), (1, 1)), "a red star above a blue ring")}
    assert len(found) == 9
    assert all(first[1] < second[1] and first[0] == second[0] for first, second in found)


def test_named_sides_leave_only_the_row_open() -> None:
    scene = _pair((0, 0), (2, 0))
    found = {_places(s) for s in admissible(scene, "a red star on the left and a blue ring on the right")}
    assert found == {((0, row), (2, row)) for row in range(3)}


def test_named_corners_leave_nothing_open() -> None:
    scene = _pair((0, 0), (0, 2))
    text = "a red star in the top left corner and a blue ring in the lower left"
    assert admissible(scene, text) == (scene,)


def test_objects_on_the_ground_keep_their_row_and_a_sky_is_no_relation() -> None:
    scene = _pair((0, 1), (2, 1), kinds=("house", "tree"))
    assert admissible(scene, "a red house on the left and a blue tree on the right under a night sky") == (
        scene,
    )


def test_one_thing_and_counted_things_stand_where_they_stand() -> None:
    for prompt in load_held_out().prompts:
        scenes = admissible(prompt.scene, prompt.text)
        assert scenes[0] == prompt.scene
        if len(prompt.scene.things) != 2 or prompt.scene.counted:
            assert len(scenes) == 1
