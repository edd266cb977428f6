"""A node may return a graph to run in its place: ids, parents, displays, mixed lists, and what goes wrong."""

from __future__ import annotations

from graphcore.events import NodeExpanded
from tests.packs_nodes.prompts import PackEngine, node, shown


def test_a_loop_by_expansion(packs: PackEngine) -> None:
    count = node("BasicsCountdown", left=4, total=0)
    ran = packs.run(count=count, show=shown(["count", 0]), last=shown(["count", 1]))
    assert ran.texts() == ["10"]
    assert ran.texts("last") == ["count" + ".0.0.2" * 4]


def test_expanded_nodes_have_ids_below_their_node_and_are_shown_as_they_ask(packs: PackEngine) -> None:
    ran = packs.run(count=node("BasicsCountdown", left=1, total=0), show=shown(["count", 0]))
    (event,) = [event for event in ran.events if isinstance(event, NodeExpanded)]
    assert event.node == "count"
    assert event.nodes == ("count.0.0.1", "count.0.0.2")
    assert event.stands_for == {"count.0.0.2": "count"}


def test_some_items_of_a_list_expand_and_others_do_not(packs: PackEngine) -> None:
    ran = packs.run(
        list=node("BasicsMakeList", count=3),
        mixed=node("BasicsMixed", value=["list", 0]),
        show=shown(["mixed", 0]),
        plain=shown(["mixed", 1]),
    )
    assert ran.texts() == ["0", "1", "1002"]
    assert ran.texts("plain") == ["7", "7", "7"]
    assert ran.texts("mixed") == ["expanded"]


def test_a_circle_in_an_expansion_is_the_expanding_nodes_error(packs: PackEngine) -> None:
    error = packs.error(circle=node("BasicsCircle", value=1), show=shown(["circle", 0]))
    assert error.code == "cyclic-expansion"
    assert error.location == "circle"


def test_the_same_expansion_is_not_computed_again(packs: PackEngine) -> None:
    prompt = {"count": node("BasicsCountdown", left=2, total=0), "show": shown(["count", 0])}
    packs.run(**prompt)
    assert packs.run(**prompt).started == []
