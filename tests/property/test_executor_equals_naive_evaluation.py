"""The executor gives what evaluating each node on its own gives: lists, lazy inputs, expansions, failures and all."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings

from graphcore import Blocked, Each, Engine, Workflow
from graphcore.cache.entry import NoCache
from tests.strategies import BLOCKED, FAILED, Naive, workflows
from tests.unit.engine.arithmetic import arithmetic


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Engine(arithmetic()) as engine:
        yield engine


@pytest.fixture(scope="module")
def forgetful() -> Iterator[Engine]:
    with Engine(arithmetic(), cache=NoCache()) as engine:
        yield engine


def expected(workflow: Workflow) -> dict[str, object]:
    naive = Naive(workflow)
    values = {name: naive.value(link) for name, link in workflow.outputs.items()}
    return {name: value for name, value in values.items() if value not in (BLOCKED, FAILED)}


def reached(engine: Engine, workflow: Workflow) -> dict[str, object]:
    return {name: plain(value) for name, value in engine.start(workflow).result(30).outputs.items()}


def plain(value: object) -> object:
    if isinstance(value, Each):
        return Each(plain(item) for item in value)
    return BLOCKED if isinstance(value, Blocked) else value


@settings(max_examples=150, deadline=None)
@given(workflows())
def test_every_output_is_as_a_naive_evaluator_has_it(engine: Engine, workflow: Workflow) -> None:
    assert reached(engine, workflow) == expected(workflow)


@settings(max_examples=60, deadline=None)
@given(workflows())
def test_it_is_the_same_without_a_cache_and_again_with_one(
    engine: Engine, forgetful: Engine, workflow: Workflow
) -> None:
    assert reached(forgetful, workflow) == reached(engine, workflow) == reached(engine, workflow)


@settings(max_examples=60, deadline=None)
@given(workflows())
def test_a_run_for_one_target_gives_what_the_whole_run_gives(engine: Engine, workflow: Workflow) -> None:
    whole = reached(engine, workflow)
    name = max(workflow.outputs)
    result = engine.start(workflow, targets=[name]).result(30)
    assert plain(result.outputs.get(name)) == whole.get(name)
