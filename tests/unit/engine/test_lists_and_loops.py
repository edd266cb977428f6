"""Lists fan out and are gathered; lazy inputs are computed on demand; expansions and loops have budgets."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from graphcore import (
    Constant,
    Each,
    Engine,
    ExecutionError,
    Expand,
    Lazy,
    Limits,
    Link,
    NodeEntry,
    RawLink,
    Registry,
    Workflow,
    node,
)
from graphcore.events import NodeExpanded, NodeStarted
from tests.unit.engine.arithmetic import NODES, Division, Picture
from tests.unit.engine.flows import Nodes, flow


@node("Twice")
def twice(value: RawLink[int]) -> int | Expand:
    """value + value, by a node that is built around the link."""
    assert value.link is not None
    return Expand(
        Workflow(nodes={"add": NodeEntry(type="Add", inputs={"a": value.link, "b": value.link})}),
        {"int": Link("add")},
    )


@node("Forever")
def forever(value: int) -> int | Expand:
    """Never ends: each step is another."""
    inner = NodeEntry(type="Forever", inputs={"value": value + 1})
    return Expand(Workflow(nodes={"again": inner}), {"int": Link("again")})


@node("Itself")
def itself(value: int) -> int | Expand:
    """Expands into the very same."""
    inner = NodeEntry(type="Itself", inputs={"value": value})
    return Expand(Workflow(nodes={"again": inner}), {"int": Link("again")})


@node("Framed")
def framed(pixels: int) -> int | Expand:
    """Hand a value that is no plain JSON to a node inside."""
    inner = NodeEntry(type="Measure", inputs={"picture": Constant(Picture(pixels))})
    return Expand(Workflow(nodes={"measure": inner}), {"int": Link("measure")})


@node("Shows")
def shows() -> Expand | None:
    """Expand into output nodes only."""
    nodes = {f"show{value}": NodeEntry(type="Show", inputs={"value": value}) for value in (1, 2)}
    return Expand(Workflow(nodes=nodes), {})


@node("Split")
def split(value: int) -> Division | Expand:
    """Two outputs, one of them given at once."""
    return Expand(
        Workflow(nodes={"d": NodeEntry(type="Divide", inputs={"a": value, "b": 10})}),
        {"quotient": Link("d", "quotient"), "remainder": 99},
    )


REGISTRY = Registry([*NODES, twice, forever, itself, framed, shows, split])


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Engine(REGISTRY) as engine:
        yield engine


def out(engine: Engine, nodes: Nodes, last: str = "n") -> object:
    return engine.run(flow(last, nodes))["out"]


def test_a_node_runs_once_for_each_item(engine: Engine) -> None:
    nodes: Nodes = {"items": ("Items", {"count": 3}), "n": ("Add", {"a": Link("items"), "b": 10})}
    assert out(engine, nodes) == Each([10, 11, 12])


def test_lists_of_one_length_are_walked_together(engine: Engine) -> None:
    nodes: Nodes = {
        "items": ("Items", {"count": 3}),
        "more": ("Add", {"a": Link("items"), "b": 100}),
        "n": ("Add", {"a": Link("items"), "b": Link("more")}),
    }
    assert out(engine, nodes) == Each([100, 102, 104])


def test_an_empty_list_runs_nothing_and_gathers_to_nothing(engine: Engine) -> None:
    nodes: Nodes = {
        "items": ("Items", {"count": 0}),
        "add": ("Add", {"a": Link("items")}),
        "n": ("Sum", {"values": Link("add")}),
    }
    assert out(engine, nodes) == 0


def test_a_gathered_list_takes_links_values_and_lists_in_their_order(engine: Engine) -> None:
    @node("Digits")
    def digits(values: list[int]) -> str:
        return "".join(map(str, values))

    with Engine(Registry([*NODES, digits])) as own:
        nodes: Nodes = {
            "items": ("Items", {"count": 3}),
            "seven": ("Number", {"value": 7}),
            "n": ("Digits", {"values": [9, Link("items"), Link("seven"), 8]}),
        }
        assert out(own, nodes) == "901278"


def test_a_blocked_item_stays_blocked_and_the_others_go_on(engine: Engine) -> None:
    nodes: Nodes = {
        "items": ("Items", {"count": 3}),
        "gate": ("Gate", {"value": Link("items"), "least": 1}),
        "n": ("Add", {"a": Link("gate"), "b": 1}),
    }
    value = out(engine, nodes)
    assert isinstance(value, Each)
    assert value.items[1:] == (2, 3)


def test_a_blocked_value_stops_what_depends_on_it_and_is_no_failure(engine: Engine) -> None:
    nodes: Nodes = {
        "gate": ("Gate", {"value": 1, "least": 5}),
        "after": ("Add", {"a": Link("gate")}),
        "free": ("Number", {"value": 4}),
    }
    result = engine.run(flow({"blocked": Link("after"), "free": Link("free")}, nodes))
    assert result.succeeded
    assert result.outputs == {"free": 4}


def test_only_the_wanted_lazy_input_is_computed(engine: Engine) -> None:
    nodes: Nodes = {
        "yes": ("Number", {"value": 41}),
        "no": ("Fail", {}),
        "n": ("Choose", {"which": True, "yes": Link("yes"), "no": Link("no")}),
    }
    handle = engine.start(flow("n", nodes))
    assert handle.result(20).outputs == {"out": 41}
    assert "no" not in [event.node for event in handle.events() if isinstance(event, NodeStarted)]


@pytest.mark.parametrize(
    ("values", "result"),
    [
        ([Link("n"), Link("m"), 5], 10),
        ([Link("m"), Link("m")], 4),
        ([Link("n")], 3),
        (Link("n"), 3),
        (Link("range"), 6),
        ([Link("range"), 1], 7),
        ([1, 2], 3),
        (4, 4),
        ([], 0),
    ],
)
def test_a_lazy_list_is_gathered_when_it_is_awaited(values: object, result: int) -> None:
    @node("SumLater")
    async def sum_later(values: Lazy[list[int]]) -> int:
        return sum(await values)

    nodes: Nodes = {
        "n": ("Number", {"value": 3}),
        "m": ("Number", {"value": 2}),
        "range": ("Items", {"count": 4}),
        "sum": ("SumLater", {"values": values}),
    }
    with Engine(Registry([*NODES, sum_later])) as engine:
        assert engine.run(flow("sum", nodes))["out"] == result


def test_a_lazy_input_may_be_a_plain_value(engine: Engine) -> None:
    assert out(engine, {"n": ("Choose", {"which": False, "yes": 1, "no": 2})}) == 2


def test_an_expansion_stands_in_the_nodes_place(engine: Engine) -> None:
    handle = engine.start(flow("n", {"n": ("Power", {"base": 2, "exponent": 3})}))
    assert handle.result(20).outputs == {"out": 8}
    expanded = [event.node for event in handle.events() if isinstance(event, NodeExpanded)]
    assert expanded == ["n", "n:next", "n:next:next"]


def test_an_expansion_reaches_outside_by_the_link_it_was_given(engine: Engine) -> None:
    assert out(engine, {"five": ("Number", {"value": 5}), "n": ("Twice", {"value": Link("five")})}) == 10


def test_a_raw_link_names_its_output(engine: Engine) -> None:
    nodes: Nodes = {
        "divide": ("Divide", {"a": 17, "b": 10}),
        "n": ("Twice", {"value": Link("divide", "quotient")}),
    }
    assert out(engine, nodes) == 2


def test_an_expansion_may_hold_any_value(engine: Engine) -> None:
    assert out(engine, {"n": ("Framed", {"pixels": 12})}) == 12


def test_output_nodes_inside_an_expansion_are_run(engine: Engine) -> None:
    workflow = Workflow(nodes={"n": NodeEntry(type="Shows")})
    result = engine.run(workflow, targets=["n"])
    assert sorted(result.shown) == ["n:show1", "n:show2"]


def test_an_expansion_may_give_some_outputs_itself(engine: Engine) -> None:
    nodes: Nodes = {"n": ("Split", {"value": 57})}
    result = engine.run(flow({"q": Link("n", "quotient"), "r": Link("n", "remainder")}, nodes))
    assert result.outputs == {"q": 5, "r": 99}


def test_an_expanded_result_is_cached_whole(engine: Engine) -> None:
    workflow = flow("n", {"n": ("Power", {"base": 3, "exponent": 4})})
    assert engine.run(workflow)["out"] == 81
    assert [(report.node, report.source) for report in engine.run(workflow).reports] == [("n", "cache")]


def test_a_workflow_that_expanded_can_be_run_again_from_its_checked_form(engine: Engine) -> None:
    graph = engine.check(flow("n", {"n": ("Power", {"base": 5, "exponent": 2})}))
    count = len(graph.nodes)
    assert engine.start(graph).result(20).outputs == {"out": 25}
    assert engine.start(graph).result(20).outputs == {"out": 25}
    assert len(graph.nodes) == count


@pytest.mark.parametrize(
    ("kind", "limits"),
    [
        ("Forever", Limits(expansion_depth=20)),
        ("Forever", Limits(expanded_nodes=20)),
        ("Itself", Limits()),
    ],
    ids=["depth", "nodes", "the very same"],
)
def test_a_loop_without_end_is_ended_by_its_budget(kind: str, limits: Limits) -> None:
    with Engine(REGISTRY, limits=limits) as engine:
        result = engine.start(flow("n", {"n": (kind, {"value": 1})})).result(20)
        assert {error.code for error in result.errors.values()} == {"expansion-budget"}


def test_a_long_loop_within_its_budget_ends() -> None:
    with Engine(REGISTRY) as engine:
        assert out(engine, {"n": ("Power", {"base": 1, "exponent": 400})}) == 1


def test_calls_over_a_list_have_a_budget() -> None:
    with Engine(REGISTRY, limits=Limits(mapped_calls=5)) as engine:
        nodes: Nodes = {"items": ("Items", {"count": 6}), "n": ("Add", {"a": Link("items")})}
        with pytest.raises(ExecutionError) as caught:
            out(engine, nodes)
        assert caught.value.code == "over-budget"


def test_amounts_that_come_along_links_have_their_budget_too() -> None:
    with Engine(REGISTRY, limits=Limits(pixels=100)) as engine:
        nodes: Nodes = {
            "width": ("Number", {"value": 1000}),
            "draw": ("Draw", {"width": Link("width"), "height": 10}),
            "n": ("Measure", {"picture": Link("draw")}),
        }
        with pytest.raises(ExecutionError) as caught:
            out(engine, nodes)
        assert caught.value.code == "over-budget"


def test_a_value_along_a_link_is_held_to_the_range(engine: Engine) -> None:
    nodes: Nodes = {"n": ("Number", {"value": 101}), "r": ("Real", {"value": Link("n")})}
    with pytest.raises(ExecutionError) as caught:
        engine.run(flow("r", nodes))
    assert caught.value.code == "value-too-large"


@pytest.mark.parametrize(("text", "works"), [("slow", True), ("sloow", False)])
def test_a_choice_along_a_link_is_checked_when_it_is_there(engine: Engine, text: str, works: bool) -> None:
    nodes: Nodes = {"w": ("Words", {"text": text}), "n": ("Mode", {"mode": Link("w")})}
    result = engine.start(flow("n", nodes)).result(20)
    assert result.succeeded is works


def test_a_generic_node_gives_what_it_takes(engine: Engine) -> None:
    nodes: Nodes = {
        "d": ("Doodle", {}),
        "s": ("Same", {"value": Link("d")}),
        "n": ("Measure", {"picture": Link("s")}),
    }
    assert out(engine, nodes) == 1
    wrong: Nodes = {
        "w": ("Words", {}),
        "s": ("Same", {"value": Link("w")}),
        "n": ("Measure", {"picture": Link("s")}),
    }
    assert [problem.code for problem in engine.validate(flow("n", wrong))] == ["link-type-mismatch"]
