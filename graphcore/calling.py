"""Calls a node's function and makes sense of what it returns or raises."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from typing import Any

from graphcore.arguments import Call, shorten
from graphcore.checked import CheckedNode
from graphcore.context import Context
from graphcore.errors import ExecutionError, GraphcoreError, InputError
from graphcore.limits import Limits
from graphcore.lists import Blocked, Each, Expand
from graphcore.spec import NodeSpec


@dataclass(slots=True, eq=False)
class Returned:
    """What a call gave: the outputs, or a sub-graph in their place."""

    outputs: tuple[object, ...]
    expand: Expand | None = None


def call_node(spec: NodeSpec, call: Call, context: Context | None, limits: Limits) -> Returned:
    """Call a synchronous node, once or for each item."""
    if context is not None and spec.context_name is not None:
        call.inputs[spec.context_name] = context
    if not call.mapped:
        return read_outputs(spec, spec.function(**call.inputs))
    _check_count(spec, call, limits)
    return _joined(spec, [read_outputs(spec, spec.function(**inputs)) for inputs in call.each()])


async def call_node_async(node: CheckedNode, call: Call, context: Context | None, limits: Limits) -> Returned:
    """Call an async node, once or for each item in turn."""
    spec = node.spec
    if context is not None and spec.context_name is not None:
        call.inputs[spec.context_name] = context
    if not call.mapped:
        return read_outputs(spec, await spec.function(**call.inputs))
    _check_count(spec, call, limits)
    return _joined(spec, [read_outputs(spec, await spec.function(**inputs)) for inputs in call.each()])


def _check_count(spec: NodeSpec, call: Call, limits: Limits) -> None:
    if call.count > limits.mapped_calls:
        raise InputError(
            f"{spec.name} would run for {call.count} items, and the limit is {limits.mapped_calls}.",
            code="over-budget",
        )


def read_outputs(spec: NodeSpec, value: Any) -> Returned:
    """What a node's function returned, as a tuple of outputs; raises InputError if it is not what was declared."""
    if isinstance(value, Expand):
        return Returned((), value)
    if isinstance(value, Blocked):
        return Returned((value,) * len(spec.outputs))
    declared = spec.outputs
    if spec.single_output:
        values: tuple[object, ...] = (value,)
    elif not declared:
        values = ()
    elif isinstance(value, tuple) and len(value) == len(declared):
        values = tuple(value)
    else:
        raise InputError(
            f"{spec.name} returned {_describe(value)}, and it declares {len(declared)} outputs; return all of them.",
            code="bad-output",
        )
    checked = []
    for output, item in zip(declared, values, strict=True):
        if output.each and not isinstance(item, (Each, Blocked)):
            item = Each(item)  # type: ignore[arg-type]
        wanted = output.type.python
        if wanted is not None and not isinstance(item, (wanted, Each, Blocked)):
            if wanted is float and isinstance(item, int):
                item = float(item)
            elif item is not None:
                raise InputError(
                    f"{spec.name} returned {_describe(item)} as '{output.name}', which it declares as {output.type}.",
                    code="bad-output",
                )
        checked.append(item)
    return Returned(tuple(checked))


def _joined(spec: NodeSpec, results: list[Returned]) -> Returned:
    if any(result.expand is not None for result in results):
        raise InputError(
            f"{spec.name} expands, which a node run for each item of a list cannot do; gather the list first.",
            code="mapped-expansion",
        )
    columns = []
    for place in range(len(spec.outputs)):
        items: list[object] = []
        for result in results:
            value = result.outputs[place]
            if isinstance(value, Each):
                items.extend(value.items)
            else:
                items.append(value)
        columns.append(Each(items))
    return Returned(tuple(columns))


def _describe(value: object) -> str:
    if isinstance(value, tuple):
        return f"a tuple of {len(value)}"
    return "nothing" if value is None else f"a {type(value).__name__}"


@dataclass(frozen=True, slots=True)
class Failure:
    """A node's failure: the error for people and programs, the traceback for logs."""

    error: GraphcoreError
    traceback: str


def failure(node: CheckedNode, error: BaseException, inputs: Any) -> Failure:
    """Wrap what a node raised: its path, its inputs in short, and the cause."""
    secret = {declared.name for declared in node.spec.inputs if declared.secret}
    shown = {
        name: "(secret)" if name in secret else text
        for name, text in shorten(inputs).items()
        if name != node.spec.context_name
    }
    code = error.code if isinstance(error, GraphcoreError) else _code_of(error)
    cause = str(error) or type(error).__name__
    if not isinstance(error, GraphcoreError):
        cause = f"{type(error).__name__}: {cause}"
    wrapped = ExecutionError(
        f"{node.spec.name} ('{node.id}') failed: {cause}",
        path=node.id,
        node_type=node.spec.name,
        inputs=shown,
        code=code,
    )
    wrapped.__cause__ = error
    return Failure(wrapped, "".join(traceback.format_exception(error)))


def _code_of(error: BaseException) -> str:
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return "out-of-memory"
    return "node-failed"
