"""Workflows can be written in Python: mistakes are told where they are made, and what is built runs."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest

from graphcore import Engine, Graph, GraphcoreError, InputError, Registry, node, read_workflow
from graphcore.formats.native import write_native
from tests.unit.engine.arithmetic import arithmetic


@pytest.fixture
def graph() -> Graph:
    return Graph(arithmetic())


def test_what_is_built_runs(graph: Graph) -> None:
    three = graph.Number(value=3)
    divided = graph.Divide(a=graph.Add(a=three, b=14), b=5)
    graph.output("rest", divided.remainder)
    graph.output("sum", graph.Sum(values=[three, divided.quotient, 5]))
    graph.input("number", (three, "value"))
    with Engine(arithmetic()) as engine:
        assert engine.run(graph.workflow()).outputs == {"rest": 2, "sum": 11}
        assert engine.run(graph.workflow(), number=4).outputs == {"rest": 3, "sum": 12}


def test_what_is_built_can_be_written_and_read(graph: Graph) -> None:
    graph.Show(value=graph.Plus(a=1), node_id="shown", title="Look")
    workflow = graph.workflow()
    assert workflow.nodes["shown"].title == "Look"
    assert read_workflow(write_native(workflow), arithmetic()) == workflow


def test_a_graph_runs_as_it_is(graph: Graph) -> None:
    graph.output("sum", graph.Add(a=1, b=2))
    with Engine(arithmetic()) as engine:
        assert engine.run(graph)["sum"] == 3


def test_inputs_that_cannot_be_keywords_are_given_in_a_mapping() -> None:
    @node("Entitled")
    def entitled(title: str, node_id: str) -> str:
        return f"{title} {node_id}"

    graph = Graph(Registry([entitled]))
    made = graph.Entitled({"title": "a", "node_id": "b"}, node_id="here", title="Shown")
    graph.output("text", made)
    workflow = graph.workflow()
    assert (made.id, workflow.nodes["here"].title) == ("here", "Shown")
    with Engine(Registry([entitled])) as engine:
        assert engine.run(workflow)["text"] == "a b"


def test_ids_are_made_from_the_type_and_are_unique(graph: Graph) -> None:
    assert [graph.Number().id, graph.Number().id, graph.Doodle().id] == ["number", "number_2", "doodle"]


@pytest.mark.parametrize(
    ("mistake", "told"),
    [
        (lambda graph: graph.Nmber(value=1), "did you mean 'Number'"),
        (lambda graph: graph.add("Nmber"), "did you mean 'Number'"),
        (lambda graph: graph.Number(valeu=1), "did you mean 'value'"),
        (lambda graph: graph.Divide(a=1).quotent, "did you mean 'quotient'"),
        (lambda graph: graph.Add(a=graph.Divide(a=1)), "2 outputs; name the one"),
        (lambda graph: (graph.Number(node_id="x"), graph.Number(node_id="x")), "is taken"),
        (lambda graph: graph.input("n", (graph.Number(), "valeu")), "no input 'valeu' to declare"),
        (lambda graph: graph.output("n", 5), "an output of a node, not a int"),
    ],
)
def test_mistakes_are_told_where_they_are_made(
    graph: Graph, mistake: Callable[[Graph], object], told: str
) -> None:
    with pytest.raises((InputError, AttributeError), match=told) as caught:
        mistake(graph)
    assert isinstance(caught.value, (GraphcoreError, AttributeError))


def test_nodes_of_another_graph_are_refused(graph: Graph) -> None:
    other = copy.deepcopy(graph)
    stranger = other.Number(value=1)
    for mistake in (
        lambda: graph.Add(a=stranger),
        lambda: graph.Add(a=stranger[0]),
        lambda: graph.output("n", stranger),
        lambda: graph.input("n", (stranger, "value")),
    ):
        with pytest.raises(InputError, match="belongs to another graph"):
            mistake()


def test_node_types_and_outputs_can_be_listed(graph: Graph) -> None:
    assert {"Number", "Plus", "workflow"} <= set(dir(graph))
    assert dir(graph.Divide(a=1)) == ["id", "quotient", "remainder"]


def test_a_graph_can_be_copied(graph: Graph) -> None:
    graph.Number()
    other = copy.copy(graph)
    assert other.workflow() == graph.workflow()
