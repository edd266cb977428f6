"""A run's events become ComfyUI's messages: which, in which order, with which data."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from server.comfy.narration import Narration, Said, exception_type, retold
from server.records import Progress

_PLACES = {"display_node_id": "2", "parent_node_id": None, "real_node_id": "2"}


def happened(kind: str, **data: Any) -> dict[str, Any]:
    return {"event": kind, "time": 12.5, **data}


def begin(*, known: Iterable[str] = (), used: Iterable[str] = ()) -> list[dict[str, Any]]:
    return [
        happened("run-started", run_id="r", nodes=2),
        happened("nodes-cached", nodes=list(known), used=list(used)),
    ]


def ran(node: str, shown: Iterable[dict[str, Any]] = (), *, cached: bool = False) -> list[dict[str, Any]]:
    finished = happened("node-finished", node=node, seconds=0.1, shown=list(shown), cached=cached)
    return [finished] if cached else [happened("node-started", node=node, type="Kind"), finished]


def ended(state: str = "succeeded", error: dict[str, Any] | None = None) -> dict[str, Any]:
    return happened("run-finished", state=state, seconds=1.0, error=error)


def told(*events: dict[str, Any]) -> list[Said]:
    narration = Narration("p")
    return [message for event in events for message in narration.event(event)]


def types(said: Iterable[Said]) -> list[str]:
    return [message.type for message in said]


def last(said: Iterable[Said], kind: str) -> dict[str, Any]:
    return dict([message for message in said if message.type == kind][-1].data)


PICTURE = {"kind": "images", "filename": "a.png", "subfolder": "", "type": "output"}


def test_a_cold_run_is_told_from_queue_to_closing_null() -> None:
    said = told(happened("run-queued"), *begin(), *ran("1"), *ran("2", [PICTURE]), ended())

    assert types(said) == [
        "status",
        "status",
        "execution_start",
        "execution_cached",
        "progress_state",
        "executing",
        "progress_state",
        "progress_state",
        "executing",
        "executed",
        "progress_state",
        "execution_success",
        "status",
        "executing",
    ]
    assert said[2].data == {"prompt_id": "p", "timestamp": 12500}
    assert said[3].data == {"nodes": [], "prompt_id": "p", "timestamp": 12500}
    assert said[5].data == {"node": "1", "display_node": "1", "prompt_id": "p"}
    assert said[9].data == {
        "node": "2",
        "display_node": "2",
        "output": {"images": [{"filename": "a.png", "subfolder": "", "type": "output"}]},
        "prompt_id": "p",
    }
    assert said[10].data["nodes"]["2"] == {
        "value": 1,
        "max": 1,
        "state": "finished",
        "node_id": "2",
        "prompt_id": "p",
        **_PLACES,
    }
    assert said[-1].data == {"node": None, "prompt_id": "p"}


def test_a_cached_output_is_sent_again_and_cached_nodes_between_are_silent() -> None:
    said = told(*begin(known=["1", "2"], used=["2"]), *ran("2", [PICTURE], cached=True), ended())

    assert types(said) == [
        "status",
        "execution_start",
        "execution_cached",
        "executed",
        "progress_state",
        "execution_success",
        "status",
        "executing",
    ]
    assert last(said, "execution_cached")["nodes"] == ["1", "2"]
    assert last(said, "progress_state")["nodes"]["2"]["state"] == "finished"


def test_a_cached_output_without_anything_to_show_is_sent_with_null() -> None:
    said = told(*begin(known=["2"], used=["2"]), *ran("2", cached=True), ended())

    assert last(said, "executed")["output"] is None


def test_progress_comes_with_the_state_and_before_the_end() -> None:
    narration = Narration("p")
    for event in begin():
        narration.event(event)
    narration.event(happened("node-started", node="2", type="Kind"))

    said = narration.progress(Progress("r", "2", 3, 20))

    assert types(said) == ["progress_state", "progress"]
    assert said[0].data["nodes"]["2"]["value"] == 3
    assert said[1].data == {"value": 3, "max": 20, "prompt_id": "p", "node": "2"}
    finished = narration.event(ran("2")[1])
    assert last(finished, "progress_state")["nodes"]["2"] == {
        "value": 20,
        "max": 20,
        "state": "finished",
        "node_id": "2",
        "prompt_id": "p",
        **_PLACES,
    }


def test_progress_that_overtakes_its_nodes_beginning_is_told_after_it() -> None:
    narration = Narration("p")
    for event in begin():
        narration.event(event)

    assert narration.progress(Progress("r", "2", 1, 20)) == []
    assert narration.progress(Progress("r", "2", 2, 20)) == []
    said = narration.event(happened("node-started", node="2", type="Kind"))

    assert types(said) == ["progress_state", "executing", "progress_state", "progress"]
    assert last(said, "progress")["value"] == 2


def test_a_preview_names_its_node_and_kind_and_repeats_no_progress() -> None:
    narration = Narration("p")
    narration.event(happened("node-started", node="2", type="Kind"))
    narration.progress(Progress("r", "2", 1, 20))

    (said,) = narration.progress(Progress("r", "2", 1, 20, "image/jpeg", b"picture"))

    assert said.type == "preview"
    assert said.picture == b"picture"
    assert said.data == {"node_id": "2", "prompt_id": "p", **_PLACES, "image_type": "image/jpeg"}


def test_expanded_nodes_are_shown_at_the_node_that_they_came_from() -> None:
    said = told(
        *begin(),
        happened("node-started", node="7", type="Loop"),
        happened("node-expanded", node="7", nodes=["7:a"]),
        happened("node-started", node="7:a", type="Step"),
        happened("node-expanded", node="7:a", nodes=["7:a:b"]),
        *ran("7:a:b", [PICTURE]),
    )

    assert last(said, "executed")["display_node"] == "7"
    assert last(said, "progress_state")["nodes"]["7:a:b"]["parent_node_id"] == "7:a"
    assert last(said, "progress_state")["nodes"]["7:a:b"]["real_node_id"] == "7"


def test_a_failure_names_node_exception_inputs_and_what_had_been_done() -> None:
    error = {
        "code": "node-failed",
        "message": "Kind ('2') failed: ValueError: no paint left",
        "inputs": {"level": "5"},
    }
    trace = 'Traceback (most recent call last):\n  File "x.py", line 1\nValueError: no paint left\n'
    failed = happened("node-failed", node="2", type="Kind", error=error, traceback=trace)

    said = told(
        *begin(),
        *ran("1"),
        happened("node-started", node="2", type="Kind"),
        failed,
        happened("node-skipped", node="3", reason="'2', which it needs, failed"),
        ended("failed", error),
    )

    assert types(said)[-3:] == ["execution_error", "status", "executing"]
    assert types(said).count("execution_error") == 1
    assert last(said, "execution_error") == {
        "prompt_id": "p",
        "node_id": "2",
        "node_type": "Kind",
        "executed": ["1"],
        "exception_message": "no paint left\n",
        "exception_type": "ValueError",
        "traceback": trace.splitlines(keepends=True),
        "current_inputs": {"level": ["5"]},
        "current_outputs": ["1"],
        "timestamp": 12500,
    }


def test_an_interrupted_run_says_where_it_stood() -> None:
    said = told(
        *begin(),
        *ran("1"),
        happened("node-started", node="2", type="Kind"),
        ended("cancelled", {"code": "cancelled"}),
    )

    assert last(said, "execution_interrupted") == {
        "prompt_id": "p",
        "node_id": "2",
        "node_type": "Kind",
        "executed": ["1"],
        "timestamp": 12500,
    }
    assert types(said)[-2:] == ["status", "executing"]


def test_a_prompt_that_was_taken_out_of_the_queue_changes_the_status_alone() -> None:
    assert types(told(happened("run-queued"), ended("cancelled"))) == ["status", "status"]


def test_a_blocker_with_a_text_is_told_once_and_the_run_goes_on() -> None:
    said = told(
        *begin(),
        happened("node-skipped", node="2", reason="an input is blocked"),
        happened("node-skipped", node="3", reason="no faces found"),
        happened("node-skipped", node="4", reason="no faces found"),
        ended(),
    )

    assert types(said).count("execution_error") == 1
    blocked = last(said, "execution_error")
    assert blocked["exception_type"] == "ExecutionBlocked"
    assert blocked["exception_message"] == "Execution Blocked: no faces found"
    assert blocked["traceback"] == []
    assert types(said)[-3:] == ["execution_success", "status", "executing"]


def test_a_run_that_dies_with_its_worker_is_an_error_too() -> None:
    said = told(*begin(), ended("failed", {"code": "worker-died", "message": "The worker died."}))

    assert last(said, "execution_error")["exception_message"] == "The worker died.\n"
    assert last(said, "execution_error")["node_id"] is None


def test_a_second_attempt_begins_anew() -> None:
    events = [
        *begin(),
        *ran("1"),
        happened("run-requeued", attempt=1, reason="lost"),
        *begin(),
        *ran("1"),
        ended(),
    ]

    narration, said = retold("p", events, lambda value: value)

    assert types(said).count("execution_start") == 1
    assert types(said).count("execution_success") == 1
    assert narration.begun


def test_what_is_sent_grows_with_the_graph_and_not_with_its_square() -> None:
    def size(nodes: int) -> int:
        events = [event for number in range(nodes) for event in ran(str(number))]
        return sum(len(json.dumps(message.data)) for message in told(*begin(), *events, ended()))

    assert size(3000) < 5_000_000
    assert size(2000) < 2.3 * size(1000)


def test_many_nodes_at_once_grow_no_faster() -> None:
    def size(nodes: int) -> int:
        started = [happened("node-started", node=str(number), type="Kind") for number in range(nodes)]
        finished = [ran(str(number))[1] for number in range(nodes)]
        return sum(len(json.dumps(message.data)) for message in told(*begin(), *started, *finished, ended()))

    assert size(2000) < 2.3 * size(1000)


def test_exception_types_are_read_from_tracebacks() -> None:
    assert (
        exception_type("Traceback:\n  x\ntorch.OutOfMemoryError: no room\nfor it\n")
        == "torch.OutOfMemoryError"
    )
    assert exception_type("Traceback:\n  x\nKeyError\n") == "KeyError"
    assert exception_type("") == "Exception"
