"""What a pack's function is called with: given inputs alone, hidden ones, links beyond the declaration, raw links."""

from __future__ import annotations

from tests.packs_nodes.prompts import PackEngine, node, shown

ONE = node("Basics Number", value=1)


def test_values_are_converted_as_pythons_types_do(packs: PackEngine) -> None:
    widgets = node(
        "BasicsWidgets",
        text=5,
        strength="0.5",
        seed="7",
        on="no",
        mode="slow",
        colour="blue",
        several={"__value__": ["a", "c"]},
        remote="anything",
    )
    (told,) = packs.run(show=widgets).texts()
    assert told == (
        "colour='blue', mode='slow', on=True, remote='anything', seed=7, several=['a', 'c'], strength=0.5, text='5'"
    )


def test_inputs_that_are_not_given_are_not_passed(packs: PackEngine) -> None:
    ran = packs.run(one=ONE, sum=node("BasicsSum", a=["one", 0]), show=shown(["sum", 0]))
    assert ran.texts() == ["101"]


def test_links_to_undeclared_inputs_reach_keyword_arguments_and_plain_values_do_not(
    packs: PackEngine,
) -> None:
    added = node("BasicsSum", a=["one", 0], b=["one", 0], c=["one", 0], d=1000)
    assert packs.run(one=ONE, sum=added, show=shown(["sum", 0])).texts() == ["3"]


def test_flexible_groups_take_inputs_of_any_name(packs: PackEngine) -> None:
    flexible = node("BasicsFlexible", first=1, anything="5", linked=["one", 0])
    assert packs.run(one=ONE, flexible=flexible, show=shown(["flexible", 0])).texts() == [
        "anything:5,first:1,linked:1"
    ]


def test_hidden_inputs(packs: PackEngine) -> None:
    from graphcore.run_options import RunOptions

    prompt = {"7": node("BasicsHidden"), "show": shown(["7", 0])}
    ran = packs.attempt(prompt, options=RunOptions(metadata={"workflow": {"id": "w"}}))
    assert ran.texts() == ["7 BasicsHidden BasicsHidden 7 {'workflow': {'id': 'w'}} None"]


def test_a_raw_link_is_the_link_itself_and_is_not_computed(packs: PackEngine) -> None:
    ran = packs.run(one=ONE, raw=node("BasicsRawLink", value=["one", 0]), show=shown(["raw", 0]))
    assert ran.texts() == ["True one 0"]
    assert "one" not in ran.started
    assert packs.run(raw=node("BasicsRawLink", value=4), show=shown(["raw", 0])).texts() == ["plain 4"]


def test_lazy_inputs_are_computed_when_they_are_asked_for(packs: PackEngine) -> None:
    two = node("Basics Number", value=2)
    for kind in ("BasicsLazy", "BasicsLazyAsync"):
        for first, used, unused in ((True, "one", "two"), (False, "two", "one")):
            choice = node(kind, first=first, a=["one", 0], b=["two", 0])
            with_each = packs.run(one=ONE, two=two, choice=choice, show=shown(["choice", 0]))
            assert with_each.texts() == ["1" if first else "2"]
            assert unused not in with_each.started, (kind, used)
            packs.engine.cache.clear()


def test_a_node_that_never_asks_gets_nothing_for_its_lazy_inputs(packs: PackEngine) -> None:
    never = node("BasicsNeverLazy", first=True, a=["one", 0], b=["one", 0])
    ran = packs.run(one=ONE, never=never, show=shown(["never", 0]))
    assert ran.texts() == ["True"]
    assert "one" not in ran.started


def test_wildcards_take_everything_and_other_types_what_fits(packs: PackEngine) -> None:
    text = node("BasicsJoinList", values=["one", 0], separator="")
    assert packs.problems(
        one=ONE, text=text, sum=node("BasicsSum", a=["text", 0]), show=shown(["sum", 0])
    ) == [("link-type-mismatch", "a", "STRING")]
    assert not packs.problems(
        one=ONE, sum=node("BasicsSum", a=["one", 0], b=["text", 0]), text=text, s=shown(["sum", 0])
    )
