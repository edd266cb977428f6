"""Lists walk through nodes item by item, short ones repeat their last, and blockers stop single items."""

from __future__ import annotations

from tests.packs_nodes.prompts import PackEngine, node, shown

THREE = node("BasicsMakeList", count=3)


def test_a_node_runs_for_each_item(packs: PackEngine) -> None:
    ran = packs.run(list=THREE, sum=node("BasicsSum", a=["list", 0], b=["list", 0]), show=shown(["sum", 0]))
    assert ran.texts() == ["0", "2", "4"]


def test_shorter_lists_repeat_their_last_item(packs: PackEngine) -> None:
    two = node("BasicsMakeList", count=2)
    ran = packs.run(
        list=THREE, two=two, sum=node("BasicsSum", a=["list", 0], b=["two", 0]), show=shown(["sum", 0])
    )
    assert ran.texts() == ["0", "2", "3"]


def test_an_output_that_is_no_list_stays_single(packs: PackEngine) -> None:
    assert packs.run(list=THREE, show=shown(["list", 1])).texts() == ["3"]


def test_lists_of_lists_are_joined(packs: PackEngine) -> None:
    ran = packs.run(list=THREE, more=node("BasicsMakeList", count=["list", 0]), show=shown(["more", 0]))
    assert ran.texts() == ["0", "0", "1"]


def test_a_node_that_takes_lists_gets_all_inputs_as_lists(packs: PackEngine) -> None:
    join = node("BasicsJoinList", values=["list", 0], separator="+")
    ran = packs.run(list=THREE, join=join, show=shown(["join", 0]))
    assert ran.texts() == ["0+1+2"]


def test_async_nodes_run_their_items_side_by_side(packs: PackEngine) -> None:
    ran = packs.run(
        list=THREE, slow=node("BasicsSlow", value=["list", 0], seconds=0.01), show=shown(["slow", 0])
    )
    assert ran.texts() == ["0", "10", "20"]


def test_an_empty_list_shows_nothing(packs: PackEngine) -> None:
    ran = packs.run(
        list=node("BasicsMakeList", count=0),
        join=node("BasicsJoinList", values=["list", 0], separator="+"),
        show=shown(["join", 0]),
    )
    assert ran.texts() == [""]


def test_a_blocker_stops_one_item_of_a_list_and_silently(packs: PackEngine) -> None:
    ran = packs.run(
        list=THREE,
        two=node("BasicsIsTwo", value=["list", 0]),
        block=node("BasicsBlock", value=["list", 0], block=["two", 0], message=""),
        show=shown(["block", 0]),
    )
    assert ran.texts() == ["0", "1"]
    assert not ran.blocked


def test_a_blockers_message_is_told_once_by_the_first_node_it_stops(packs: PackEngine) -> None:
    ran = packs.run(
        one=node("Basics Number", value=1),
        block=node("BasicsBlock", value=["one", 0], block=True, message="not today"),
        sum=node("BasicsSum", a=["block", 0]),
        show=shown(["sum", 0]),
        other=shown(["one", 0]),
    )
    assert ran.blocked == [("sum", "not today")]
    assert ran.texts() == []
    assert ran.texts("other") == ["1"]


def test_a_blocked_item_stops_a_node_that_takes_lists(packs: PackEngine) -> None:
    ran = packs.run(
        list=THREE,
        two=node("BasicsIsTwo", value=["list", 0]),
        block=node("BasicsBlock", value=["list", 0], block=["two", 0], message=""),
        join=node("BasicsJoinList", values=["block", 0], separator="+"),
        show=shown(["join", 0]),
    )
    assert ran.texts() == []
