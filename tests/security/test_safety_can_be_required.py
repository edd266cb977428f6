"""F13: with --require-safety no picture leaves a graph that has not passed a SafetyFilter on every way."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module

import pytest

from graphcore.checked import CheckedGraph
from graphcore.formats.reading import read_workflow
from graphcore.policy import unfiltered_pictures
from graphcore.registry import Registry
from graphcore.validation import check_workflow
from tests.served import PACK, Served, entry, link, native, settings_in, sum_of

MAKE = entry("MakePicture", level=7)


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with Served(settings_in(tmp_path_factory.mktemp("strict"), require_safety=True)) as server:
        yield server


def checked(workflow: dict[str, object]) -> CheckedGraph:
    registry = Registry()
    registry.add_module(import_module(PACK))
    return check_workflow(read_workflow(workflow, registry), registry)


def unsafe(workflow: dict[str, object]) -> list[str | None]:
    """The nodes through which a picture could leave unfiltered."""
    return [problem.node for problem in unfiltered_pictures(checked(workflow))]


def keep(source: str) -> dict[str, object]:
    return entry("KeepPicture", images=link(source))


def test_a_filtered_picture_may_leave() -> None:
    assert unsafe(native(m=MAKE, f=entry("SafetyFilter", image=link("m")), k=keep("f"))) == []


def test_a_picture_changed_after_the_filter_may_leave() -> None:
    graph = native(
        m=MAKE, f=entry("SafetyFilter", image=link("m")), b=entry("Brighten", image=link("f")), k=keep("b")
    )
    assert unsafe(graph) == []


def test_an_unfiltered_picture_may_not() -> None:
    assert unsafe(native(m=MAKE, k=keep("m"))) == ["k"]


def test_a_filter_beside_the_way_does_not_count() -> None:
    graph = native(m=MAKE, f=entry("SafetyFilter", image=link("m")), k=keep("m"), k2=keep("f"))
    assert unsafe(graph) == ["k"]


def test_one_of_two_sinks_unfiltered_is_found() -> None:
    graph = native(
        m=MAKE,
        b=entry("Brighten", image=link("m")),
        f=entry("SafetyFilter", image=link("b")),
        k=keep("f"),
        k2=keep("b"),
    )
    assert unsafe(graph) == ["k2"]


def test_a_declared_output_is_a_way_out() -> None:
    graph = {**native(m=MAKE, r=entry("Report", value=1)), "outputs": {"picture": link("m")}}
    assert unsafe(graph) == ["m"]


@pytest.mark.parametrize(
    "weakening", [{"action": "flag"}, {"sensitivity": -0.5}, {"sensitivity": link("m2")}]
)
def test_f13_a_filter_that_a_parameter_switches_off_does_not_count(weakening: dict[str, object]) -> None:
    graph = native(
        m=MAKE,
        m2=entry("Number", value=-1),
        f=entry("SafetyFilter", image=link("m"), **weakening),
        k=keep("f"),
    )
    assert unsafe(graph) == ["k"]


def test_graphs_without_pictures_are_not_concerned() -> None:
    assert unsafe(sum_of()) == []


def test_f13_the_server_refuses_in_both_dialects(strict: Served) -> None:
    prompt = {
        "1": {"class_type": "MakePicture", "inputs": {"level": 3}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0]}},
    }
    for workflow in (native(m=MAKE, k=keep("m")), prompt, {"prompt": prompt}):
        answer = strict.post("/api/v1/runs", {"workflow": workflow})
        assert answer.status == 422
        assert [problem["code"] for problem in answer.json["error"]["problems"]] == ["unfiltered-picture"]
    targets = strict.post("/api/v1/runs", {"workflow": native(m=MAKE, k=keep("m")), "targets": ["m"]})
    assert targets.status == 422
    strict.request("PUT", "/api/v1/workflows/sly", native(m=MAKE, k=keep("m")))
    assert strict.post("/api/v1/workflows/sly/runs", {}).status == 422


def test_f13_a_filtered_graph_runs(strict: Served) -> None:
    run = strict.submit(native(m=MAKE, f=entry("SafetyFilter", image=link("m")), k=keep("f")))
    assert strict.finished(run)["state"] == "succeeded"
