"""Equal work under way is waited for, not done twice, across the runs of an engine."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from graphcore import Engine, Link, Registry, RunState, node
from tests.unit.engine.arithmetic import NODES
from tests.unit.engine.flows import Nodes, flow

WAIT = 20


class Work:
    """Counts the calls of the nodes below; they wait until they may go on, or fail."""

    def __init__(self) -> None:
        self.calls = 0
        self.entered = threading.Event()
        self.leave = threading.Event()
        self.failing = 0

    def do(self, value: int) -> int:
        self.calls += 1
        self.entered.set()
        assert self.leave.wait(WAIT)
        if self.calls <= self.failing:
            raise ValueError("not this time")
        return value


@pytest.fixture
def work() -> Iterator[Work]:
    work = Work()
    yield work
    work.leave.set()


def engine_of(work: Work) -> Engine:
    @node("Pooled", thread=True)
    def pooled(value: int) -> int:
        return work.do(value)

    @node("Awaited")
    async def awaited(value: int) -> int:
        return await asyncio.to_thread(work.do, value)

    return Engine(Registry([*NODES, pooled, awaited]))


@pytest.mark.parametrize("kind", ["Pooled", "Awaited"])
def test_two_runs_share_one_computation(work: Work, kind: str) -> None:
    with engine_of(work) as engine:
        workflow = flow("n", {"w": (kind, {"value": 4}), "n": ("Add", {"a": Link("w"), "b": 1})})
        first, second = engine.start(workflow), engine.start(workflow)
        assert work.entered.wait(WAIT)
        work.leave.set()
        assert [first.result(WAIT)["out"], second.result(WAIT)["out"]] == [5, 5]
        assert work.calls == 1
        assert {report.source for report in second.result().reports if report.node == "w"} == {"cache"}


@pytest.mark.parametrize("kind", ["Pooled", "Awaited"])
def test_if_the_first_fails_the_second_tries_itself(work: Work, kind: str) -> None:
    work.failing = 1
    with engine_of(work) as engine:
        workflow = flow("w", {"w": (kind, {"value": 4})})
        first, second = engine.start(workflow), engine.start(workflow)
        assert work.entered.wait(WAIT)
        work.leave.set()
        assert first.result(WAIT).state is RunState.FAILED
        assert second.result(WAIT)["out"] == 4
        assert work.calls == 2


def test_equal_nodes_of_one_run_share_a_computation(work: Work) -> None:
    work.leave.set()
    with engine_of(work) as engine:
        nodes: Nodes = {
            "a": ("Pooled", {"value": 1}),
            "b": ("Pooled", {"value": 1}),
            "n": ("Sum", {"values": [Link("a"), Link("b")]}),
        }
        assert engine.run(flow("n", nodes))["out"] == 2
        assert work.calls == 1
