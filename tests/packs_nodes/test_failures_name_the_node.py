"""What a pack's node raises ends its run with the node's id, its class and the cause; interruptions cancel."""

from __future__ import annotations

import pytest

from graphcore.errors import ExecutionError
from graphcore.events import NodeFailed
from tests.packs_nodes.prompts import PackEngine, node, shown


def test_an_exception_names_the_node_and_the_cause(packs: PackEngine) -> None:
    error = packs.error(n=node("BasicsFails", value=3), show=shown(["n", 0]))
    assert isinstance(error, ExecutionError)
    assert (error.path, error.node_type) == ("n", "BasicsFails")
    assert isinstance(error.__cause__, KeyError)


def test_an_async_node_fails_alike_and_the_others_of_its_list_are_stopped(packs: PackEngine) -> None:
    ran = packs.attempt(
        {
            "list": node("BasicsMakeList", count=3),
            "minus": node("BasicsSum", a=["list", 0], b=-1),
            "slow": node("BasicsSlow", value=["minus", 0], seconds=0.01),
            "show": shown(["slow", 0]),
        }
    )
    (failed,) = [event for event in ran.events if isinstance(event, NodeFailed)]
    assert failed.node == "slow"
    assert "ValueError: a negative number" in failed.traceback


@pytest.mark.parametrize("returned", ["None", "5", "object()"])
def test_a_result_that_is_no_tuple_is_told(packs: PackEngine, returned: str) -> None:
    spec = packs.engine.registry.get("Basics Number")
    assert spec is not None
    held = spec.function
    assert callable(held)
    cls = next(cell.cell_contents for cell in held.__closure__ if isinstance(cell.cell_contents, type))
    original = cls.number
    cls.number = lambda self, value: eval(returned)
    try:
        error = packs.error(n=node("Basics Number", value=3), show=shown(["n", 0]))
    finally:
        cls.number = original
    assert error.code == "bad-output"
