"""However a document is bent, reading and validating it ends in problems or in a DocumentError, in nothing else."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from graphcore import Dialect, DocumentError, ValidationError, Workflow, read_workflow, validate
from graphcore.formats.comfy_api import write_prompt
from graphcore.formats.native import write_native
from graphcore.validation import check_workflow
from tests.strategies import workflows
from tests.unit.engine.arithmetic import arithmetic

REGISTRY = arithmetic()

WORDS = [
    "graphcore",
    "nodes",
    "inputs",
    "outputs",
    "type",
    "class_type",
    "node",
    "output",
    "value",
    "also",
    "n0",
    "_meta",
    "__value__",
]
JUNK = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**70), 2**70),
        st.floats(),
        st.text(max_size=8),
        st.sampled_from(WORDS),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.one_of(st.sampled_from(WORDS), st.text(max_size=4)), inner, max_size=3),
    ),
    max_leaves=6,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path]
    if isinstance(value, dict):
        for key, item in value.items():
            found += places(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            found += places(item, (*path, index))
    return found


def bent(document: Any, path: tuple[Any, ...], junk: Any) -> Any:
    if not path:
        return junk
    target = document
    for step in path[:-1]:
        target = target[step]
    target[path[-1]] = junk
    return document


def judge(source: bytes | dict[str, Any]) -> None:
    try:
        workflow = read_workflow(source, REGISTRY)
        found = validate(workflow, REGISTRY)
        for problem in found:
            json.dumps(problem.as_json())
        check_workflow(workflow, REGISTRY)
    except (DocumentError, ValidationError) as error:
        json.dumps(error.as_json())


@settings(max_examples=300, deadline=None)
@given(st.data(), workflows(most=6), st.booleans())
def test_a_part_replaced_by_junk(data: st.DataObject, workflow: Workflow, native: bool) -> None:
    written = write_native(workflow) if native else write_prompt(workflow, REGISTRY)
    document = json.loads(json.dumps(written))
    for _ in range(data.draw(st.integers(1, 3))):
        document = bent(document, data.draw(st.sampled_from(places(document))), data.draw(JUNK))
    judge(json.dumps(document).encode("utf-8", "surrogatepass"))
    if isinstance(document, dict):
        judge(document)


@settings(max_examples=200, deadline=None)
@given(st.data(), workflows(most=3))
def test_bytes_changed_at_random(data: st.DataObject, workflow: Workflow) -> None:
    raw = bytearray(json.dumps(write_native(workflow)).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    judge(bytes(raw[: data.draw(st.integers(0, len(raw)))]))


@settings(max_examples=200, deadline=None)
@given(JUNK)
@example({"1": {"class_type": "Add", "inputs": {"a": ["1", 0]}}})
@example({"1": {"class_type": "Add", "inputs": {"a": ["2", -1], "b": ["9", 1.0]}}})
@example({"1": {"class_type": "Add", "inputs": {"a": ["1", True], "b": ["1", "0"]}}})
@example({"1": {"class_type": "Sum", "inputs": {"values": [[[[]]]]}}})
@example({"graphcore": 1, "nodes": {"n0": {"type": "Sum", "inputs": {"values": [[{"node": "n0"}]]}}}})
def test_junk_alone(junk: Any) -> None:
    if isinstance(junk, dict):
        judge(junk)
        judge({"1": {"class_type": "Add", "inputs": junk}})
        judge({"graphcore": 1, "nodes": junk})
        judge(
            {
                "graphcore": 1,
                "nodes": {"n0": {"type": "Add", "inputs": junk}},
                "outputs": junk,
                "inputs": junk,
            }
        )


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.text(max_size=5), JUNK, max_size=3))
def test_values_given_to_a_run_are_judged_alike(values: dict[str, Any]) -> None:
    document = {
        "graphcore": 1,
        "nodes": {"s": {"type": "Show", "inputs": {"value": 1}}, "t": {"type": "Words"}},
    }
    workflow = read_workflow(document, REGISTRY)
    for dialect in Dialect:
        try:
            given = {f"t.{name}" if name else "s.value": value for name, value in values.items()}
            bound = workflow.with_inputs({**given, "t.text": next(iter(values.values()), "")})
            validate(Workflow(nodes=bound.nodes, dialect=dialect), REGISTRY)
        except ValidationError as error:
            json.dumps(error.as_json())
