"""Values are shared: a node that changes its input is found out on request, and callers are given copies."""

from __future__ import annotations

import pytest

from graphcore import Engine, ExecutionError, Graph, Registry, RunOptions, Workflow, node, socket


@socket("LIST")
class Numbers(list[int]):
    """A value that can be changed."""


@node("Make")
def make() -> Numbers:
    return Numbers([1, 2, 3])


@node("Spoil")
def spoil(numbers: Numbers) -> Numbers:
    numbers.append(4)
    return numbers


@node("SpoilAsync")
async def spoil_async(numbers: Numbers) -> Numbers:
    numbers.append(4)
    return numbers


@node("Copy")
def copied(numbers: Numbers) -> Numbers:
    return Numbers([*numbers, 4])


REGISTRY = Registry([make, spoil, spoil_async, copied])
WATCHED = RunOptions(detect_mutation=True)


def workflow(kind: str) -> Workflow:
    graph = Graph(REGISTRY)
    graph.output("numbers", graph.add(kind, node_id="culprit", numbers=graph.Make()))
    return graph.workflow()


@pytest.mark.parametrize("kind", ["Spoil", "SpoilAsync"])
def test_the_culprit_is_named(kind: str) -> None:
    with Engine(REGISTRY) as engine, pytest.raises(ExecutionError) as caught:
        engine.run(workflow(kind), options=WATCHED)
    assert caught.value.code == "input-mutated"
    assert caught.value.path == "culprit"
    assert "'numbers'" in caught.value.message


def test_who_works_on_a_copy_is_left_alone() -> None:
    with Engine(REGISTRY) as engine:
        assert engine.run(workflow("Copy"), options=WATCHED)["numbers"] == [1, 2, 3, 4]


def test_results_are_copies_of_what_is_kept() -> None:
    with Engine(REGISTRY) as engine:
        first = engine.run(workflow("Copy"))["numbers"]
        assert isinstance(first, Numbers)
        first.clear()
        assert engine.run(workflow("Copy"))["numbers"] == [1, 2, 3, 4]
