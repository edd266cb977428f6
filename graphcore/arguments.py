"""Puts a node's inputs together for a call: values, lists, links by name, one call or one for each item."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphcore.checked import CheckedLink, CheckedNode
from graphcore.errors import InputError
from graphcore.lists import Blocked, Constant, Each, Lazy, RawLink
from graphcore.spec import InputSpec, NodeSpec
from graphcore.workflow import Dialect, Link


@dataclass(slots=True, eq=False)
class Call:
    """The inputs of a node, ready for its function.

    `mapped` names the inputs that hold one item for each of `count` calls; empty for a single call. `blocked` is the
    blocker among the inputs, if any.
    """

    inputs: dict[str, Any]
    mapped: tuple[str, ...] = ()
    count: int = 1
    blocked: Blocked | None = None

    def each(self) -> list[dict[str, Any]]:
        """The inputs of each call."""
        calls = []
        for place in range(self.count):
            inputs = dict(self.inputs)
            for name in self.mapped:
                items = inputs[name].items
                inputs[name] = items[min(place, len(items) - 1)]
            calls.append(inputs)
        return calls


Outputs = Sequence[tuple[object, ...] | None]


def gather_inputs(
    node: CheckedNode,
    outputs: Outputs,
    dialect: Dialect,
    lazy: Callable[[CheckedLink], Lazy[Any]],
    node_id: Callable[[int], str],
) -> Call:
    """Put the inputs of a node together; its sources (but for deferred ones) have their outputs.

    Raises InputError if a value does not fit, or lists that are walked together differ in length.
    """
    inputs = dict(node.arguments)
    call = Call(inputs)
    special = False
    for link in node.links:
        if link.deferred:
            _defer(node, link, inputs, lazy, node_id)
            continue
        held = outputs[link.source]
        assert held is not None
        value = held[link.output]
        if value.__class__ is Each or value.__class__ is Blocked:
            special = True
        elif link.guard is not None:
            value = guarded(link.guard, value)
        if link.position < 0:
            inputs[link.input] = value
        else:
            if inputs[link.input] is node.arguments[link.input]:
                inputs[link.input] = list(node.arguments[link.input])  # type: ignore[call-overload]
            inputs[link.input][link.position] = value
    for name, value in node.arguments.items():
        if value.__class__ is Constant:
            inputs[name] = value.value  # type: ignore[attr-defined]
            special = True
    _wrap_deferred_literals(node.spec, inputs)
    _finish_gathers(node.spec, inputs)
    if special:
        _settle_lists(node.spec, call, dialect)
    return call


def _defer(
    node: CheckedNode,
    link: CheckedLink,
    inputs: dict[str, Any],
    lazy: Callable[[CheckedLink], Lazy[Any]],
    node_id: Callable[[int], str],
) -> None:
    declared = node.spec.input(link.input)
    assert declared is not None
    if declared.raw_link:
        inputs[link.input] = RawLink(Link(node_id(link.source), link.output))
    else:
        inputs[link.input] = lazy(link)


def _wrap_deferred_literals(spec: NodeSpec, inputs: dict[str, Any]) -> None:
    for declared in spec.deferred_inputs:
        value = inputs.get(declared.name)
        if declared.name not in inputs or isinstance(value, (Lazy, RawLink)):
            continue
        inputs[declared.name] = RawLink(None, value) if declared.raw_link else Lazy.of(value)


def _finish_gathers(spec: NodeSpec, inputs: dict[str, Any]) -> None:
    for declared in spec.gathering_inputs:
        value = inputs.get(declared.name)
        if value is None or declared.lazy or declared.raw_link:
            continue
        items = value if isinstance(value, list) else [value]
        flat: list[Any] = []
        for item in items:
            if item.__class__ is Each:
                flat.extend(item.items)
            else:
                flat.append(item)
        inputs[declared.name] = flat


def _settle_lists(spec: NodeSpec, call: Call, dialect: Dialect) -> None:
    lengths: dict[str, int] = {}
    for name, value in call.inputs.items():
        if value.__class__ is Blocked:
            call.blocked = value
        elif value.__class__ is Each:
            lengths[name] = len(value.items)
        elif value.__class__ is list:
            call.blocked = next((item for item in value if item.__class__ is Blocked), call.blocked)
    if not lengths:
        return
    call.mapped = tuple(lengths)
    longest = max(lengths.values())
    if 0 in lengths.values():
        longest = 0
    elif dialect is Dialect.NATIVE and any(length not in (1, longest) for length in lengths.values()):
        shown = ", ".join(f"'{name}' has {length}" for name, length in lengths.items())
        raise InputError(
            f"The lists that {spec.name} walks together differ in length: {shown}; make them equal.",
            code="list-lengths",
        )
    call.count = longest


def guarded(declared: InputSpec, value: Any) -> Any:
    """A value from a link, checked against the input that it feeds; raises InputError if it does not fit."""
    if value is None:
        return None
    if declared.choices is not None:
        if value in declared.choices:
            return value
        raise InputError(
            f"'{declared.name}' is {value!r}, which is none of its choices: "
            f"{', '.join(map(str, declared.choices[:20]))}.",
            code="not-a-choice",
            location=declared.name,
        )
    wanted = declared.type.python
    if wanted is None or isinstance(value, wanted):
        return value
    if wanted is float and type(value) is int:
        return float(value)
    raise InputError(
        f"'{declared.name}' takes {declared.type}, and the link brought a {type(value).__name__}.",
        code="wrong-type",
        location=declared.name,
    )


def shorten(inputs: Mapping[str, object]) -> dict[str, str]:
    """Inputs in short, for error messages and logs."""
    return {name: _short(value) for name, value in inputs.items()}


def _short(value: object) -> str:
    shape = getattr(value, "shape", None)
    if shape is not None:
        return f"{type(value).__name__}{tuple(shape)}"
    if isinstance(value, (str, int, float, bool, type(None))):
        text = repr(value)
        return text if len(text) <= 80 else f"{text[:77]}..."
    if isinstance(value, (list, tuple, Each)):
        return f"{type(value).__name__} of {len(value)}"
    fields = getattr(type(value), "__dataclass_fields__", None)
    for name in fields or ():
        inner = getattr(getattr(value, name), "shape", None)
        if inner is not None:
            return f"{type(value).__name__}({name}={tuple(inner)})"
    return type(value).__name__


__all__ = ["Call", "gather_inputs", "guarded", "shorten"]
