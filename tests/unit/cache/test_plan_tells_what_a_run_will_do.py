"""A plan says of each node whether it will hit, and if not why, and what that has cost before; it runs nothing."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from graphcore import Engine, Graph, Lazy, Range, Registry, Settings, Workflow, node
from graphcore.plan import Plan, PlannedNode

CALLS: list[str] = []


@node("Load")
def load(name: str) -> str:
    CALLS.append("Load")
    time.sleep(0.003)
    return name


@node("Work")
def work(text: str, steps: Annotated[int, Range(1, 100, role="steps")] = 1) -> str:
    CALLS.append("Work")
    time.sleep(0.003 * steps)
    return text * steps


@node("Dice", cacheable=False, reason="it throws dice")
def dice(sides: int = 6) -> int:
    return sides


@node("Either")
async def either(first: bool, a: Lazy[str], b: Lazy[str]) -> str:
    return await (a if first else b)


REGISTRY = Registry([load, work, dice, either])


def workflow(name: str = "a", steps: int = 1) -> Workflow:
    graph = Graph(REGISTRY)
    graph.output("text", graph.Work(text=graph.Load(name=name), steps=steps))
    return graph.workflow()


def by_type(plan: Plan) -> dict[str, PlannedNode]:
    return {planned.type: planned for planned in plan.nodes}


def engine(folder: Path, registry: Registry = REGISTRY) -> Engine:
    return Engine(registry, settings=Settings(data_dir=folder))


def test_before_the_first_run_nothing_was_seen(tmp_path: Path) -> None:
    CALLS.clear()
    with engine(tmp_path) as made:
        plan = made.plan(workflow())
    assert [(planned.action, planned.reason) for planned in plan.nodes] == [("run", "never seen")] * 2
    assert plan.unknown == 2
    assert CALLS == []


def test_after_a_run_the_target_hits_and_hides_what_feeds_it(tmp_path: Path) -> None:
    with engine(tmp_path) as made:
        made.run(workflow())
    with engine(tmp_path) as made:
        planned = by_type(made.plan(workflow()))
    assert planned["Work"].action == "hit"
    assert planned["Load"].action == "hit" or planned["Load"].action == "skip"


def test_a_changed_input_is_named(tmp_path: Path) -> None:
    with engine(tmp_path) as made:
        made.run(workflow(steps=2))
        planned = by_type(made.plan(workflow(steps=3)))
    assert (planned["Load"].action, planned["Work"].action) == ("hit", "run")
    assert planned["Work"].reason == "new input: steps"


def test_a_change_upstream_is_named_by_the_link_that_brings_it(tmp_path: Path) -> None:
    with engine(tmp_path) as made:
        made.run(workflow("a"))
        planned = by_type(made.plan(workflow("b")))
    assert planned["Load"].reason == "new input: name"
    assert planned["Work"].reason == "new input: text"


def test_a_new_version_is_told(tmp_path: Path) -> None:
    with engine(tmp_path) as made:
        made.run(workflow())
    newer = Registry([load, dice, either])
    spec = REGISTRY.get("Work")
    assert spec is not None
    newer.add_spec(replace(spec, version=2))
    with engine(tmp_path, newer) as made:
        assert by_type(made.plan(workflow()))["Work"].reason == "new version: 1 became 2"


def test_an_evicted_result_is_told(tmp_path: Path) -> None:
    with engine(tmp_path) as made:
        made.run(workflow())
    for path in (tmp_path / "cache" / "blobs").glob("*/*"):
        path.unlink()
    with engine(tmp_path) as made:
        made.cache.store.verify()  # type: ignore[attr-defined]
        assert {planned.reason for planned in made.plan(workflow()).nodes} == {"evicted"}


def test_what_may_not_be_cached_says_why(tmp_path: Path) -> None:
    graph = Graph(REGISTRY)
    graph.output("n", graph.Dice())
    with engine(tmp_path) as made:
        made.run(graph.workflow())
        assert by_type(made.plan(graph.workflow()))["Dice"].reason == "never cached: it throws dice"


def test_costs_are_those_of_work_of_that_size(tmp_path: Path) -> None:
    with engine(tmp_path) as made:
        made.run(workflow(steps=1))
        made.run(workflow(steps=20))
        one = by_type(made.plan(workflow("new", steps=1)))["Work"]
        twenty = by_type(made.plan(workflow("new", steps=20)))["Work"]
    assert one.seconds is not None
    assert twenty.seconds is not None
    assert one.seconds < 0.03 < 0.06 <= twenty.seconds


def test_inputs_on_demand_are_deferred(tmp_path: Path) -> None:
    graph = Graph(REGISTRY)
    graph.output("text", graph.Either(first=True, a=graph.Load(name="a"), b=graph.Work(text="b")))
    with engine(tmp_path) as made:
        planned = by_type(made.plan(graph.workflow()))
    assert (planned["Either"].action, planned["Load"].action, planned["Work"].action) == (
        "run",
        "deferred",
        "deferred",
    )
