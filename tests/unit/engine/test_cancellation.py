"""A run can be cancelled at any time, from any thread; it ends soon, with the reason, and nothing is left waiting."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator

import pytest

from graphcore import (
    Cancelled,
    Context,
    Engine,
    Expand,
    Lazy,
    Link,
    NodeEntry,
    Registry,
    RunHandle,
    RunState,
    Workflow,
    node,
)
from graphcore.events import NodeStarted, RunFinished

WAIT = 20


class Stage:
    """Where the nodes of these tests say that they are running, and wait."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.leave = threading.Event()


def stage_nodes(stage: Stage) -> Registry:
    """Nodes that wait on a stage, one for each way to run."""

    @node("Steps")
    def steps(ctx: Context, value: int = 0) -> int:
        for step in range(10**6):
            ctx.progress(step, 10**6)
            stage.entered.set()
            stage.leave.wait(0.001)
        return value

    @node("ThreadSteps", thread=True)
    def thread_steps(ctx: Context, value: int = 0) -> int:
        return steps(ctx, value)

    @node("Sleeper")
    async def sleeper(value: int = 0) -> int:
        stage.entered.set()
        await asyncio.sleep(3600)
        return value

    @node("Asks")
    async def asks(value: Lazy[int]) -> int:
        return await value

    @node("Grows")
    def grows(value: int = 0) -> int | Expand:
        inner = NodeEntry(type="Sleeper", inputs={"value": value})
        return Expand(Workflow(nodes={"inner": inner}), {"int": Link("inner")})

    @node("Blocks")
    def blocks(value: int = 0) -> int:
        stage.entered.set()
        stage.leave.wait(WAIT)
        return value

    return Registry([steps, thread_steps, sleeper, asks, grows, blocks])


@pytest.fixture
def stage() -> Iterator[Stage]:
    stage = Stage()
    yield stage
    stage.leave.set()


@pytest.fixture
def engine(stage: Stage) -> Iterator[Engine]:
    with Engine(stage_nodes(stage)) as engine:
        yield engine


def single(kind: str, value: int = 0) -> Workflow:
    return Workflow(nodes={"n": NodeEntry(type=kind, inputs={"value": value})}, outputs={"out": Link("n")})


def lazy() -> Workflow:
    nodes = {
        "source": NodeEntry(type="Sleeper"),
        "n": NodeEntry(type="Asks", inputs={"value": Link("source")}),
    }
    return Workflow(nodes=nodes, outputs={"out": Link("n")})


PHASES: dict[str, Callable[[], Workflow]] = {
    "an inline node that reports progress": lambda: single("Steps"),
    "a node in the thread pool": lambda: single("ThreadSteps"),
    "an async node": lambda: single("Sleeper"),
    "a node inside an expansion": lambda: single("Grows"),
    "a node that waits for a lazy input": lazy,
}


@pytest.mark.parametrize("workflow", PHASES.values(), ids=PHASES.keys())
def test_cancelling_ends_the_run_with_the_reason(
    engine: Engine, stage: Stage, workflow: Callable[[], Workflow]
) -> None:
    handle = engine.start(workflow())
    assert stage.entered.wait(WAIT)
    handle.cancel("no longer wanted")
    result = handle.result(WAIT)
    assert result.state is RunState.CANCELLED
    assert isinstance(result.error, Cancelled)
    assert result.error.reason == "no longer wanted"
    assert not result.outputs
    last = list(handle.events())[-1]
    assert isinstance(last, RunFinished)
    assert last.state is RunState.CANCELLED


def test_a_queued_run_is_cancelled_before_it_starts_a_node(engine: Engine, stage: Stage) -> None:
    first = engine.start(single("Blocks", 1))
    assert stage.entered.wait(WAIT)
    second = engine.start(single("Blocks", 2))
    second.cancel("changed my mind")
    stage.leave.set()
    assert first.result(WAIT).succeeded
    assert second.result(WAIT).state is RunState.CANCELLED
    assert not any(isinstance(event, NodeStarted) for event in second.events())


def test_between_two_inline_nodes_the_run_stops(engine: Engine, stage: Stage) -> None:
    nodes = {
        "one": NodeEntry(type="Blocks", inputs={"value": 1}),
        "two": NodeEntry(type="Blocks", inputs={"value": Link("one")}),
    }
    handle = engine.start(Workflow(nodes=nodes, outputs={"out": Link("two")}))
    assert stage.entered.wait(WAIT)
    handle.cancel("stop")
    stage.leave.set()
    result = handle.result(WAIT)
    assert result.state is RunState.CANCELLED
    assert [event.node for event in handle.events() if isinstance(event, NodeStarted)] == ["one"]


def test_what_was_cancelled_can_be_run_again(engine: Engine, stage: Stage) -> None:
    handle = engine.start(single("ThreadSteps"))
    assert stage.entered.wait(WAIT)
    handle.cancel()
    handle.result(WAIT)
    again = engine.start(single("ThreadSteps"))
    again.cancel()
    assert again.result(WAIT).state is RunState.CANCELLED


def test_the_first_reason_counts(engine: Engine, stage: Stage) -> None:
    handle = engine.start(single("Sleeper"))
    assert stage.entered.wait(WAIT)
    handle.cancel("first")
    handle.cancel("second")
    error = handle.result(WAIT).error
    assert isinstance(error, Cancelled)
    assert error.reason == "first"


def test_run_raises_cancelled(engine: Engine, stage: Stage) -> None:
    def cancel_at_once(event: object) -> None:
        if isinstance(event, NodeStarted):
            timer.start()

    handles: list[RunHandle] = []
    timer = threading.Timer(0.01, lambda: handles[0].cancel("by a timer"))
    handle = engine.start(single("Sleeper"), listener=cancel_at_once)
    handles.append(handle)
    with pytest.raises(Cancelled, match="by a timer"):
        handle.result(WAIT).raise_for_state()


def test_closing_the_engine_cancels_its_runs(stage: Stage) -> None:
    engine = Engine(stage_nodes(stage))
    handle = engine.start(single("Sleeper"))
    assert stage.entered.wait(WAIT)
    engine.close()
    error = handle.result(WAIT).error
    assert isinstance(error, Cancelled)
    assert "closed" in error.reason


def test_cancelling_the_awaiting_task_cancels_the_run(engine: Engine, stage: Stage) -> None:
    async def give_up() -> None:
        task = asyncio.create_task(engine.run_async(single("Sleeper")))
        await asyncio.to_thread(stage.entered.wait, WAIT)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(give_up())


def test_a_cancelled_run_lets_go_of_equal_work(engine: Engine, stage: Stage) -> None:
    first = engine.start(single("Sleeper"))
    assert stage.entered.wait(WAIT)
    stage.entered.clear()
    second = engine.start(single("Sleeper"))
    first.cancel("only the first")
    assert first.result(WAIT).state is RunState.CANCELLED
    assert stage.entered.wait(WAIT), "the second run takes the work over"
    second.cancel()
    assert second.result(WAIT).state is RunState.CANCELLED
