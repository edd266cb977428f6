"""A failing node is told by its path, its inputs in short and the cause; other branches give their results."""

from __future__ import annotations

import gc
import json
import weakref
from collections.abc import Iterator
from typing import Annotated

import pytest

from graphcore import (
    Each,
    Engine,
    ExecutionError,
    Expand,
    InputError,
    Lazy,
    Link,
    NodeEntry,
    Registry,
    RunOptions,
    RunState,
    Secret,
    ValidationError,
    Workflow,
    node,
)
from graphcore.events import NodeFailed, NodeSkipped
from tests.unit.engine.arithmetic import NODES, Picture


class OutOfMemoryError(Exception):
    """Named as torch names its own."""


@node("Raise")
def raising(what: str, value: int = 0) -> int:
    """Raise an exception by name."""
    kinds: dict[str, type[BaseException]] = {
        "value": ValueError,
        "exit": SystemExit,
        "keyboard": KeyboardInterrupt,
        "stop": StopIteration,
        "memory": MemoryError,
        "device memory": OutOfMemoryError,
        "recursion": RecursionError,
    }
    raise kinds[what]("as told")


@node("RaiseApart", thread=True)
def raising_apart(what: str) -> int:
    """Raise in another thread."""
    return raising(what)


@node("RaiseLater")
async def raising_later(what: str) -> int:
    """Raise in an async node."""
    return raising(what)


@node("Guarded")
def guarded(value: int) -> int:
    """Refuse a value, by a code of its own."""
    raise InputError("The value is not liked; give another.", code="not-liked")


@node("WithSecret")
def with_secret(key: Annotated[str, Secret()], size: int = 1) -> int:
    """Fail with a secret at hand."""
    raise ValueError("no")


@node("WrongOutput")
def wrong_output() -> int:
    """Return what was not declared."""
    return "text"  # type: ignore[return-value]


@node("TwoLists")
def two_lists(a: int, b: int) -> int:
    """Walk two lists."""
    return a + b


@node("BadExpansion")
def bad_expansion() -> int | Expand:
    """Expand into a node that does not exist."""
    return Expand(Workflow(nodes={"x": NodeEntry(type="Nowhere")}), {"int": Link("x")})


@node("HoldsPicture")
def holds_picture(picture: Picture) -> int:
    """Fail with a picture in a local variable."""
    copy = picture
    raise ValueError(f"{copy.pixels} pixels are too many")


@node("Try")
async def trying(first: Lazy[int], second: Lazy[int]) -> int:
    """The first, or the second if that fails."""
    try:
        return await first
    except Exception:
        return await second


OWN = (
    raising,
    raising_apart,
    raising_later,
    guarded,
    with_secret,
    wrong_output,
    two_lists,
    bad_expansion,
    holds_picture,
    trying,
)


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Engine(Registry([*NODES, *OWN])) as engine:
        yield engine


def flow(outputs: dict[str, str], **nodes: tuple[str, dict[str, object]]) -> Workflow:
    entries = {node_id: NodeEntry(type=kind, inputs=inputs) for node_id, (kind, inputs) in nodes.items()}
    return Workflow(nodes=entries, outputs={name: Link(node_id) for name, node_id in outputs.items()})


def failure_of(engine: Engine, workflow: Workflow) -> ExecutionError:
    with pytest.raises(ExecutionError) as caught:
        engine.run(workflow)
    return caught.value


def test_the_error_names_path_type_inputs_and_cause(engine: Engine) -> None:
    error = failure_of(engine, flow({"x": "n"}, n=("Raise", {"what": "value", "value": 3})))
    assert (error.path, error.node_type, error.code) == ("n", "Raise", "node-failed")
    assert error.inputs == {"what": "'value'", "value": "3"}
    assert isinstance(error.__cause__, ValueError)
    assert "ValueError: as told" in error.message
    json.dumps(error.as_json())


def test_other_branches_are_finished_and_usable(engine: Engine) -> None:
    workflow = flow(
        {"good": "sum", "bad": "after"},
        one=("Number", {"value": 1}),
        sum=("Add", {"a": Link("one"), "b": 2}),
        broken=("Fail", {"value": Link("one")}),
        after=("Add", {"a": Link("broken"), "b": 1}),
    )
    result = engine.start(workflow).result(20)
    assert result.state is RunState.FAILED
    assert result.outputs == {"good": 3}
    assert list(result.errors) == ["broken"]
    with pytest.raises(ExecutionError) as caught:
        engine.run(workflow)
    assert caught.value.result.outputs == {"good": 3}  # type: ignore[attr-defined]


def test_what_depends_on_a_failure_is_skipped_with_a_reason(engine: Engine) -> None:
    workflow = flow(
        {"x": "last"},
        broken=("Fail", {}),
        middle=("Add", {"a": Link("broken")}),
        last=("Add", {"a": Link("middle")}),
    )
    handle = engine.start(workflow)
    handle.result(20)
    failed = [event.node for event in handle.events() if isinstance(event, NodeFailed)]
    skipped = {event.node: event.reason for event in handle.events() if isinstance(event, NodeSkipped)}
    assert failed == ["broken"]
    assert skipped == {
        "middle": "'broken', which it needs, failed",
        "last": "'middle', which it needs, failed",
    }


def test_without_keep_going_the_first_failure_ends_the_run(engine: Engine) -> None:
    workflow = flow({"a": "bad", "b": "slow"}, bad=("Fail", {}), slow=("Later", {"value": 123}))
    result = engine.start(workflow, options=RunOptions(keep_going=False)).result(20)
    assert result.state is RunState.FAILED
    assert isinstance(result.error, ExecutionError)


@pytest.mark.parametrize("kind", ["Raise", "RaiseApart", "RaiseLater"])
@pytest.mark.parametrize("what", ["value", "exit", "keyboard", "stop", "recursion"])
def test_whatever_is_raised_is_a_failure_of_that_node_alone(engine: Engine, kind: str, what: str) -> None:
    workflow = flow({"x": "n", "y": "good"}, n=(kind, {"what": what}), good=("Number", {"value": 5}))
    result = engine.start(workflow).result(20)
    assert list(result.errors) == ["n"]
    assert result.outputs == {"y": 5}


@pytest.mark.parametrize("what", ["memory", "device memory"])
def test_running_out_of_memory_has_its_own_code(engine: Engine, what: str) -> None:
    assert failure_of(engine, flow({"x": "n"}, n=("Raise", {"what": what}))).code == "out-of-memory"


def test_a_node_can_give_its_error_a_code(engine: Engine) -> None:
    error = failure_of(engine, flow({"x": "n"}, n=("Guarded", {"value": 1})))
    assert error.code == "not-liked"
    assert error.message.endswith("The value is not liked; give another.")


@pytest.mark.parametrize("value", [8154711, ["8154711"], {"a": 8154711}])
def test_a_secret_of_the_wrong_type_is_not_told(engine: Engine, value: object) -> None:
    with pytest.raises(ValidationError) as caught:
        engine.run(flow({"out": "n"}, n=("WithSecret", {"key": value})))
    assert "8154711" not in json.dumps(caught.value.as_json())
    assert "secret input 'key'" in caught.value.message


def test_secrets_are_not_told(engine: Engine) -> None:
    error = failure_of(engine, flow({"x": "n"}, n=("WithSecret", {"key": "hunter2"})))
    assert error.inputs == {"key": "(secret)", "size": "1"}
    assert "hunter2" not in json.dumps(error.as_json())


@pytest.mark.parametrize(
    ("workflow", "code"),
    [
        (flow({"x": "n"}, n=("WrongOutput", {})), "bad-output"),
        (flow({"x": "n"}, n=("BadExpansion", {})), "bad-expansion"),
        (
            flow(
                {"x": "n"},
                a=("Items", {"count": 2}),
                b=("Items", {"count": 3}),
                n=("TwoLists", {"a": Link("a"), "b": Link("b")}),
            ),
            "list-lengths",
        ),
        (
            flow({"x": "n"}, a=("Items", {"count": 2}), n=("Power", {"base": Link("a"), "exponent": 2})),
            "mapped-expansion",
        ),
    ],
    ids=["bad output", "bad expansion", "list lengths", "mapped expansion"],
)
def test_each_way_to_fail_has_its_code(engine: Engine, workflow: Workflow, code: str) -> None:
    assert failure_of(engine, workflow).code == code


def test_a_failure_inside_an_expansion_names_the_whole_path(engine: Engine) -> None:
    @node("Wraps")
    def wraps() -> int | Expand:
        return Expand(Workflow(nodes={"inner": NodeEntry(type="Fail")}), {"int": Link("inner")})

    with Engine(Registry([*NODES, wraps])) as own:
        result = own.start(flow({"x": "outer"}, outer=("Wraps", {}))).result(20)
    assert list(result.errors) == ["outer:inner"]


def test_a_node_may_catch_the_failure_of_a_lazy_input(engine: Engine) -> None:
    workflow = flow(
        {"x": "n"},
        broken=("Fail", {}),
        n=("Try", {"first": Link("broken"), "second": 7}),
    )
    assert engine.start(workflow).result(20).outputs == {"x": 7}


def test_a_lazy_input_behind_an_earlier_failure_fails_at_once(engine: Engine) -> None:
    workflow = flow(
        {"early": "broken", "late": "choose"},
        broken=("Fail", {}),
        behind=("Add", {"a": Link("broken")}),
        wait=("Later", {"value": 1}),
        pace=("Same", {"value": Link("wait")}),
        choose=("Choose", {"which": True, "yes": Link("behind"), "no": Link("pace")}),
    )
    result = engine.start(workflow).result(20)
    assert list(result.errors) == ["broken"]
    assert not result.outputs


def test_a_failure_does_not_keep_values_alive(engine: Engine) -> None:
    alive: list[weakref.ref[Picture]] = []

    @node("Made", cacheable=False, reason="each is another")
    def made() -> Picture:
        picture = Picture(9)
        alive.append(weakref.ref(picture))
        return picture

    with Engine(Registry([made, holds_picture])) as own:
        result = own.start(
            flow({"x": "n"}, a=("Made", {}), n=("HoldsPicture", {"picture": Link("a")}))
        ).result(20)
        gc.collect()
        assert "9 pixels" in str(result.error)
        assert alive[0]() is None


def test_the_items_of_a_list_are_checked_too(engine: Engine) -> None:
    @node("Texts")
    def texts() -> Each[str]:
        return Each([1, 2])  # type: ignore[list-item]

    with Engine(Registry([texts])) as own:
        result = own.start(flow({"x": "n"}, n=("Texts", {}))).result(20)
    assert isinstance(result.error, ExecutionError)
    assert result.error.code == "bad-output"
