"""What a run runs: what its targets need, once, and nothing that a result or an override hides."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from graphcore import (
    Engine,
    ExecutionError,
    GraphcoreError,
    InputError,
    Link,
    Registry,
    ResourceError,
    RunOptions,
    RunState,
    node,
)
from graphcore.cache.entry import NoCache
from graphcore.events import NodeStarted
from tests.unit.engine.arithmetic import NODES, Picture
from tests.unit.engine.flows import Nodes, flow

DIAMOND: Nodes = {
    "top": ("Number", {"value": 1}),
    "left": ("Add", {"a": Link("top"), "b": 10}),
    "right": ("Add", {"a": Link("top"), "b": 20}),
    "bottom": ("Sum", {"values": [Link("left"), Link("right")]}),
    "aside": ("Add", {"a": 1000}),
}
OUTPUTS = {"bottom": Link("bottom"), "aside": Link("aside"), "left": Link("left")}


@pytest.fixture
def engine() -> Iterator[Engine]:
    with Engine(Registry(NODES)) as engine:
        yield engine


def started(engine: Engine, **more: object) -> list[str]:
    handle = engine.start(flow(OUTPUTS, DIAMOND), **more)  # type: ignore[arg-type]
    handle.result(20)
    return [event.node for event in handle.events() if isinstance(event, NodeStarted)]


def test_every_node_runs_once(engine: Engine) -> None:
    assert Counter(started(engine)) == Counter(list(DIAMOND))


def test_targets_are_outputs_or_nodes_and_nothing_else_is_run(engine: Engine) -> None:
    assert started(engine, targets=["left"]) == ["top", "left"]
    assert started(engine, targets=["aside"]) == ["aside"]
    result = engine.run(flow(OUTPUTS, DIAMOND), targets=["right"])
    assert result.nodes == {"right": {"int": 21}}


def test_the_result_of_a_targeted_run_has_that_output_only(engine: Engine) -> None:
    assert engine.run(flow(OUTPUTS, DIAMOND), targets=["left"]).outputs == {"left": 11}


def test_an_override_stands_for_a_node(engine: Engine) -> None:
    options = RunOptions(overrides={"left": {"int": 5}})
    assert started(engine, targets=["bottom"], options=options) == ["top", "right", "bottom"]
    result = engine.run(flow(OUTPUTS, DIAMOND), options=options)
    assert result.outputs == {"bottom": 26, "aside": 1000, "left": 5}


def test_what_an_override_changes_is_not_taken_for_the_real_result(engine: Engine) -> None:
    engine.run(flow(OUTPUTS, DIAMOND), options=RunOptions(overrides={"top": {"int": 100}}))
    assert engine.run(flow(OUTPUTS, DIAMOND))["bottom"] == 32


@pytest.mark.parametrize(
    ("overrides", "code"),
    [
        ({"nowhere": {"int": 1}}, "unknown-target"),
        ({"left": {"itn": 1}}, "bad-override"),
        ({"left": {}}, "bad-override"),
        ({"left": 5}, "bad-override"),
        ({"left": {"int": "5"}}, "bad-override"),
    ],
)
def test_an_override_that_cannot_be_fails_the_run(
    engine: Engine, overrides: dict[str, Any], code: str
) -> None:
    result = engine.start(flow(OUTPUTS, DIAMOND), options=RunOptions(overrides=overrides)).result(20)
    assert result.state is RunState.FAILED
    assert isinstance(result.error, InputError)
    assert result.error.code == code


def test_one_target_may_be_a_text(engine: Engine) -> None:
    assert engine.run(flow(OUTPUTS, DIAMOND), targets="left").outputs == {"left": 11}


def test_a_closed_engine_says_so() -> None:
    engine = Engine(Registry(NODES))
    engine.close()
    engine.close()
    with pytest.raises(ResourceError, match="The engine is closed"):
        engine.run(flow(OUTPUTS, DIAMOND))


def test_a_node_that_waits_for_a_run_of_its_own_engine_is_told() -> None:
    @node("Nested")
    def nested() -> int:
        return len(own.run(flow(OUTPUTS, DIAMOND)).outputs)

    own = Engine(Registry([*NODES, nested]))
    with own, pytest.raises(ExecutionError, match="would never end") as caught:
        own.run(flow("n", {"n": ("Nested", {})}))
    assert caught.value.code == "engine-busy"


def test_a_changed_leaf_reruns_that_leaf_and_what_reads_it(engine: Engine) -> None:
    started(engine)
    changed = {**DIAMOND, "right": ("Add", {"a": Link("top"), "b": 21})}
    handle = engine.start(flow(OUTPUTS, changed))
    assert handle.result(20).outputs["bottom"] == 33
    assert [event.node for event in handle.events() if isinstance(event, NodeStarted)] == ["right", "bottom"]


def test_equal_nodes_of_one_run_are_computed_once_even_without_a_cache() -> None:
    calls: list[int] = []

    @node("Counted")
    def counted(value: int) -> int:
        calls.append(value)
        return value

    nodes: Nodes = {
        "one": ("Counted", {"value": 3}),
        "two": ("Counted", {"value": 3}),
        "n": ("Sum", {"values": [Link("one"), Link("two")]}),
    }
    with Engine(Registry([*NODES, counted]), cache=NoCache()) as engine:
        assert engine.run(flow("n", nodes))["out"] == 6
    assert calls == [3]


def test_outputs_are_dropped_when_their_last_reader_is_done() -> None:
    alive: list[weakref.ref[Picture]] = []
    most: list[int] = []

    @node("Paint", cacheable=False, reason="each is another")
    def paint(after: int = 0) -> Picture:
        gc.collect()
        most.append(sum(ref() is not None for ref in alive))
        picture = Picture(1)
        alive.append(weakref.ref(picture))
        return picture

    nodes: dict[str, tuple[str, dict[str, object]]] = {}
    for place in range(5):
        after = Link(f"m{place - 1}") if place else 0
        nodes[f"p{place}"] = ("Paint", {"after": after})
        nodes[f"m{place}"] = ("Measure", {"picture": Link(f"p{place}")})
    with Engine(Registry([*NODES, paint])) as engine:
        assert engine.run(flow("m4", nodes))["out"] == 1
    assert max(most) == 0


def test_branches_are_finished_one_by_one() -> None:
    nodes: dict[str, tuple[str, dict[str, object]]] = {
        "n": ("Sum", {"values": [Link(f"c{i}") for i in range(3)]})
    }
    for branch in range(3):
        nodes[f"a{branch}"] = ("Number", {"value": branch})
        nodes[f"b{branch}"] = ("Add", {"a": Link(f"a{branch}"), "b": 1})
        nodes[f"c{branch}"] = ("Add", {"a": Link(f"b{branch}"), "b": 2})
    with Engine(Registry(NODES)) as engine:
        handle = engine.start(flow("n", nodes))
        handle.result(20)
    order = [event.node for event in handle.events() if isinstance(event, NodeStarted)]
    assert order == ["a0", "b0", "c0", "a1", "b1", "c1", "a2", "b2", "c2", "n"]


def test_async_and_thread_nodes_overlap() -> None:
    both = threading.Barrier(2, timeout=20)

    @node("Meets", thread=True)
    def meets(value: int) -> int:
        both.wait()
        return value

    @node("MeetsLater")
    async def meets_later(value: int) -> int:
        await asyncio.to_thread(both.wait)
        return value

    nodes: Nodes = {
        "a": ("Meets", {"value": 1}),
        "b": ("MeetsLater", {"value": 2}),
        "n": ("Sum", {"values": [Link("a"), Link("b")]}),
    }
    with Engine(Registry([*NODES, meets, meets_later])) as engine:
        assert engine.run(flow("n", nodes))["out"] == 3


def test_a_run_can_be_awaited(engine: Engine) -> None:
    async def both() -> list[object]:
        runs = [engine.run_async(flow(OUTPUTS, DIAMOND)) for _ in range(2)]
        return [result["bottom"] for result in await asyncio.gather(*runs)]

    assert asyncio.run(both()) == [32, 32]


def test_a_failing_listener_does_not_fail_the_run(engine: Engine) -> None:
    def listen(event: object) -> None:
        raise ValueError("a listener's own fault")

    assert engine.run(flow(OUTPUTS, DIAMOND), listener=listen)["bottom"] == 32


def test_a_cache_that_fails_is_told_as_the_engines_failure() -> None:
    class Broken(NoCache):
        def put(self, key: object, spec: object, entry: object) -> None:
            raise RuntimeError("disk on fire")

    with Engine(Registry(NODES), cache=Broken()) as engine:
        result = engine.start(flow(OUTPUTS, DIAMOND)).result(20)
    assert isinstance(result.error, GraphcoreError)
    assert result.error.code == "internal"
    assert "disk on fire" in result.error.message
