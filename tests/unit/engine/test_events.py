"""A run is one stream of numbered, typed events that begins with its start and ends with its end, and is plain JSON."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator

import pytest

from graphcore import Context, Engine, Event, Link, Preview, Registry, node
from graphcore.events import (
    NodeExpanded,
    NodeFailed,
    NodeFinished,
    NodeProgress,
    NodesCached,
    NodeSkipped,
    NodeStarted,
    RunFinished,
    RunStarted,
)
from tests.unit.engine.arithmetic import NODES
from tests.unit.engine.flows import Nodes, flow


@node("Paces", thread=True)
def paces(ctx: Context, value: int = 3) -> int:
    """Report progress from another thread, with a picture."""
    for done in range(1, value + 1):
        ctx.progress(done, value, Preview(media_type="image/png", data=b"x", width=4, height=2))
    return value


@node("PacesHere")
def paces_here(ctx: Context, value: int = 3) -> int:
    """Report progress."""
    for done in range(1, value + 1):
        ctx.progress(done, value)
    return value


@pytest.fixture
def engine() -> Iterator[Engine]:
    with Engine(Registry([*NODES, paces, paces_here])) as engine:
        yield engine


EVERYTHING: Nodes = {
    "paces": ("Paces", {"value": 3}),
    "here": ("PacesHere", {"value": 2}),
    "power": ("Power", {"base": Link("paces"), "exponent": 1}),
    "show": ("Show", {"value": Link("power")}),
    "fail": ("Fail", {"value": Link("here")}),
    "after": ("Add", {"a": Link("fail")}),
}
OUTPUTS = {"power": Link("power"), "after": Link("after")}


def events_of(engine: Engine) -> list[Event]:
    heard: list[Event] = []
    handle = engine.start(flow(OUTPUTS, EVERYTHING), listener=heard.append)
    handle.result(20)
    assert list(handle.events()) == heard
    return heard


def test_events_are_numbered_from_nought_without_gaps(engine: Engine) -> None:
    events = events_of(engine)
    assert [event.number for event in events] == list(range(len(events)))
    times = [event.time for event in events]
    assert times == sorted(times)


def test_a_run_begins_and_ends_with_its_own_events(engine: Engine) -> None:
    events = events_of(engine)
    assert isinstance(events[0], RunStarted)
    assert isinstance(events[-1], RunFinished)
    assert sum(isinstance(event, (RunStarted, RunFinished)) for event in events) == 2


def test_every_kind_of_event_comes_where_it_belongs(engine: Engine) -> None:
    events = events_of(engine)
    assert {type(event) for event in events} == {
        RunStarted,
        NodesCached,
        NodeStarted,
        NodeProgress,
        NodeExpanded,
        NodeFinished,
        NodeFailed,
        NodeSkipped,
        RunFinished,
    }
    by_node = [event for event in events if getattr(event, "node", None) == "paces"]
    assert [type(event) for event in by_node] == [NodeStarted, *[NodeProgress] * 3, NodeFinished]
    assert [event.done for event in by_node if isinstance(event, NodeProgress)] == [1, 2, 3]


def test_events_are_plain_json(engine: Engine) -> None:
    for event in events_of(engine):
        read = json.loads(json.dumps(event.as_json()))
        assert read["event"] == event.kind
        assert read["number"] == event.number


def test_what_was_shown_is_shown_again_from_the_cache(engine: Engine) -> None:
    events_of(engine)
    shown = [event for event in events_of(engine) if isinstance(event, NodeFinished) and event.node == "show"]
    assert [(event.cached, event.shown) for event in shown] == [(True, ({"kind": "text", "text": "3"},))]


def test_the_nodes_taken_from_the_cache_are_told_at_once(engine: Engine) -> None:
    events_of(engine)
    cached = next(event for event in events_of(engine) if isinstance(event, NodesCached))
    assert {"show", "power"} <= set(cached.used)
    assert {"paces", "here"} <= set(cached.nodes)


def test_all_events_come_from_one_thread(engine: Engine) -> None:
    threads: set[int] = set()
    engine.start(flow(OUTPUTS, EVERYTHING), listener=lambda event: threads.add(threading.get_ident())).result(
        20
    )
    assert len(threads) == 1
    assert threading.get_ident() not in threads


def test_the_events_of_a_running_run_can_be_followed_from_anywhere(engine: Engine) -> None:
    handle = engine.start(flow(OUTPUTS, EVERYTHING))
    followed = list(handle.events())
    assert isinstance(followed[-1], RunFinished)
    assert list(handle.events(start=3)) == followed[3:]
    assert handle.result(20).run_id == handle.run_id
    assert handle.done
