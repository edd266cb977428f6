"""Calls a node's function and makes sense of what it returns or raises."""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from graphcore.arguments import Call, shorten
from graphcore.checked import CheckedNode
from graphcore.context import CancelToken, Context
from graphcore.errors import ExecutionError, GraphcoreError, InputError
from graphcore.limits import Limits
from graphcore.lists import Blocked, Each, Expand
from graphcore.spec import NodeSpec, OutputSpec

Outcome = tuple[object, ...] | Expand


@dataclass(frozen=True, slots=True)
class Raised:
    """What a call raised, carried between threads as a value: a future cannot hold every exception."""

    error: BaseException


def call_node(
    spec: NodeSpec, call: Call, context: Context | None, limits: Limits, token: CancelToken
) -> Outcome:
    """Call a synchronous node, once or for each item; returns its outputs, or the sub-graph to run in its place."""
    if context is not None and spec.context_name is not None:
        call.inputs[spec.context_name] = context
    if not call.mapped:
        return read_outputs(spec, spec.function(**call.inputs))
    results = []
    for inputs in _calls(spec, call, limits, token):
        blocked = blocker(inputs)
        results.append(read_outputs(spec, blocked if blocked is not None else spec.function(**inputs)))
    return _joined(spec, results)


def call_apart(
    spec: NodeSpec, call: Call, context: Context | None, limits: Limits, token: CancelToken
) -> Outcome | Raised:
    """As `call_node`, for another thread: what is raised is returned."""
    try:
        return call_node(spec, call, context, limits, token)
    except BaseException as error:  # noqa: BLE001 (the run's thread raises it again)
        return Raised(error)


async def call_node_async(
    spec: NodeSpec, call: Call, context: Context | None, limits: Limits, token: CancelToken
) -> Outcome:
    """Call an async node, once or for each item in turn."""
    if context is not None and spec.context_name is not None:
        call.inputs[spec.context_name] = context
    if not call.mapped:
        return read_outputs(spec, await spec.function(**call.inputs))
    results = []
    for inputs in _calls(spec, call, limits, token):
        blocked = blocker(inputs)
        results.append(read_outputs(spec, blocked if blocked is not None else await spec.function(**inputs)))
    return _joined(spec, results)


def _calls(spec: NodeSpec, call: Call, limits: Limits, token: CancelToken) -> Iterator[dict[str, Any]]:
    if call.count > limits.mapped_calls:
        raise InputError(
            f"{spec.name} would run for {call.count} items, and the limit is {limits.mapped_calls}; give it fewer.",
            code="over-budget",
        )
    for inputs in call.each():
        token.check()
        yield inputs


def blocker(inputs: Mapping[str, object]) -> Blocked | None:
    """The blocked value among a call's inputs, if any."""
    return next((value for value in inputs.values() if isinstance(value, Blocked)), None)


def read_outputs(spec: NodeSpec, value: Any) -> Outcome:
    """What a node's function returned, as a tuple of outputs; raises InputError if it is not what was declared."""
    declared = spec.outputs
    if spec.single_output:
        if value.__class__ is declared[0].type.python and not declared[0].each:
            return (value,)
        if isinstance(value, Expand):
            return value
        return (_read(spec, declared[0], value),)
    if isinstance(value, Expand):
        return value
    if isinstance(value, Blocked):
        return (value,) * len(declared)
    if not declared:
        return ()
    if not isinstance(value, tuple) or len(value) != len(declared):
        raise InputError(
            f"{spec.name} returned {_describe(value)}, and it declares {len(declared)} outputs; return all of them.",
            code="bad-output",
        )
    return tuple(_read(spec, output, item) for output, item in zip(declared, value, strict=True))


def _read(spec: NodeSpec, output: OutputSpec, value: Any) -> object:
    if isinstance(value, Blocked):
        return value
    if output.each and not isinstance(value, Each):
        try:
            value = Each(value)
        except TypeError:
            raise InputError(
                f"{spec.name} returned {_describe(value)} as '{output.name}', which fans out; return Each([...]).",
                code="bad-output",
            ) from None
    if isinstance(value, Each):
        return Each(_read_item(spec, output, item) for item in value.items)
    return _read_item(spec, output, value)


def _read_item(spec: NodeSpec, output: OutputSpec, value: Any) -> object:
    wanted = output.type.python
    if wanted is None or value is None or isinstance(value, (wanted, Blocked)):
        return value
    if wanted is float and isinstance(value, int):
        return float(value)
    raise InputError(
        f"{spec.name} returned {_describe(value)} as '{output.name}', which it declares as {output.type}.",
        code="bad-output",
    )


def _joined(spec: NodeSpec, results: list[Outcome]) -> Outcome:
    rows = [result for result in results if isinstance(result, tuple)]
    if len(rows) != len(results):
        raise InputError(
            f"{spec.name} expands, which a node run for each item of a list cannot do; gather the list first.",
            code="mapped-expansion",
        )
    columns = []
    for place in range(len(spec.outputs)):
        items: list[object] = []
        for row in rows:
            value = row[place]
            if isinstance(value, Each):
                items.extend(value.items)
            else:
                items.append(value)
        columns.append(Each(items))
    return tuple(columns)


def _describe(value: object) -> str:
    if isinstance(value, tuple):
        return f"a tuple of {len(value)}"
    return "nothing" if value is None else f"a {type(value).__name__}"


@dataclass(frozen=True, slots=True)
class Failure:
    """A node's failure: the error for people and programs, the traceback for logs."""

    error: GraphcoreError
    traceback: str


def failure(node: CheckedNode, error: BaseException, inputs: dict[str, object]) -> Failure:
    """Wrap what a node raised: its path, its inputs in short, and the cause.

    The inputs and the local variables of the failed call are let go: a kept error must not keep pictures and weights.
    """
    secret = {declared.name for declared in node.spec.inputs if declared.secret}
    shown = {
        name: "(secret)" if name in secret else text
        for name, text in shorten(inputs).items()
        if name != node.spec.context_name
    }
    code = error.code if isinstance(error, GraphcoreError) else _code_of(error)
    cause = _text(error)
    if not isinstance(error, GraphcoreError):
        cause = f"{type(error).__name__}: {cause}" if cause else type(error).__name__
    wrapped = ExecutionError(
        f"{node.spec.name} ('{node.id}') failed: {cause}",
        path=node.id,
        node_type=node.spec.name,
        inputs=shown,
        code=code,
    )
    wrapped.__cause__ = error
    lines = "".join(traceback.format_exception(error))
    inputs.clear()
    _let_go(error)
    return Failure(wrapped, lines)


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 (an exception may have a broken __str__)
        return ""


def _let_go(error: BaseException) -> None:
    seen: set[int] = set()
    pending: list[BaseException | None] = [error]
    while pending:
        current = pending.pop()
        if current is not None and id(current) not in seen:
            seen.add(id(current))
            traceback.clear_frames(current.__traceback__)
            pending += [current.__cause__, current.__context__]


def _code_of(error: BaseException) -> str:
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return "out-of-memory"
    return "node-failed"
