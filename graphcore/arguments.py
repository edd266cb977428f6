"""Puts a node's inputs together for a call: values, lists, links by name, one call or one for each item."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from graphcore.checked import CheckedLink, CheckedNode
from graphcore.errors import InputError
from graphcore.jsontext import shown
from graphcore.lists import Blocked, Constant, Each, Lazy, RawLink
from graphcore.spec import InputSpec, NodeSpec
from graphcore.workflow import Dialect


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

    def each(self) -> Iterator[dict[str, Any]]:
        """The inputs of each call."""
        for place in range(self.count):
            inputs = dict(self.inputs)
            for name in self.mapped:
                items = inputs[name].items
                inputs[name] = items[min(place, len(items) - 1)]
            yield inputs


Outputs = Sequence[tuple[object, ...] | None]


def gather_inputs(
    node: CheckedNode,
    outputs: Outputs,
    dialect: Dialect,
    defer: Callable[[CheckedNode, CheckedLink], Lazy[Any] | RawLink[Any]],
) -> Call:
    """Put the inputs of a node together; its sources (but for deferred ones) have their outputs.

    Raises InputError if a value does not fit, or lists that are walked together differ in length.
    """
    arguments = node.arguments
    inputs: dict[str, Any] = arguments.copy()
    call = Call(inputs)
    special = node.constants
    for link in node.links:
        value: Any
        if link.deferred:
            value = defer(node, link)
        else:
            held = outputs[link.source]
            assert held is not None
            value = held[link.output]
            kind = value.__class__
            if kind is Each or kind is Blocked:
                special = True
                value = _guarded_items(link, value)
            elif link.guard is not None:
                value = guarded(link.guard, value)
        if link.position < 0:
            inputs[link.input] = value
        else:
            if inputs[link.input] is arguments[link.input]:
                inputs[link.input] = [*arguments[link.input]]  # type: ignore[misc]
            inputs[link.input][link.position] = value
    if node.constants:
        _unwrap_constants(inputs)
    if node.spec.foreign is not None:
        return call
    if node.spec.gathering_inputs:
        _finish_gathers(node.spec, inputs)
    if node.spec.deferred_inputs:
        _wrap_deferred_literals(node.spec, inputs)
    if special:
        _settle_lists(node.spec, call, dialect)
    return call


def _guarded_items(link: CheckedLink, value: Any) -> Any:
    guard = link.guard
    if guard is None or value.__class__ is Blocked:
        return value
    return Each(item if item.__class__ is Blocked else guarded(guard, item) for item in value.items)


def _unwrap_constants(inputs: dict[str, Any]) -> None:
    for name, value in inputs.items():
        if value.__class__ is Constant:
            inputs[name] = value.value


def _wrap_deferred_literals(spec: NodeSpec, inputs: dict[str, Any]) -> None:
    for declared in spec.deferred_inputs:
        value = inputs.get(declared.name)
        if declared.name not in inputs or isinstance(value, (Lazy, RawLink)):
            continue
        inputs[declared.name] = RawLink(None, value) if declared.raw_link else Lazy.of(value)


def _finish_gathers(spec: NodeSpec, inputs: dict[str, Any]) -> None:
    for declared in spec.gathering_inputs:
        value = inputs.get(declared.name)
        if value is None:
            continue
        items = value if isinstance(value, list) else [value]
        inputs[declared.name] = Lazy(partial(_awaited, items)) if declared.lazy else _flat(items)


def _flat(items: Iterable[Any]) -> list[Any]:
    flat: list[Any] = []
    for item in items:
        if item.__class__ is Each:
            flat.extend(item.items)
        else:
            flat.append(item)
    return flat


async def _awaited(items: list[Any]) -> list[Any]:
    return _flat([await item if item.__class__ is Lazy else item for item in items])


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
            f"'{declared.name}' is {_told(declared, value)}, which is none of its choices: "
            f"{', '.join(map(str, declared.choices[:20]))}.",
            code="not-a-choice",
            location=declared.name,
        )
    wanted = declared.type.python
    if wanted is float and type(value) is int:
        value = float(value)
    if wanted is None or isinstance(value, wanted):
        if declared.range is not None:
            _check_range(declared, value)
        return value
    raise InputError(
        f"'{declared.name}' takes {declared.type}, and the link brought a {type(value).__name__}.",
        code="wrong-type",
        location=declared.name,
    )


def _told(declared: InputSpec, value: Any) -> str:
    return "(secret)" if declared.secret else shown(value)


def _check_range(declared: InputSpec, value: Any) -> None:
    bounds = declared.range
    assert bounds is not None
    below = bounds.minimum is not None and value < bounds.minimum
    if below or (bounds.maximum is not None and value > bounds.maximum):
        raise InputError(
            f"'{declared.name}' is {_told(declared, value)}, and its {'minimum' if below else 'maximum'} is "
            f"{bounds.minimum if below else bounds.maximum}; change what feeds it.",
            code="value-too-small" if below else "value-too-large",
            location=declared.name,
        )


def shorten(inputs: Mapping[str, object]) -> dict[str, str]:
    """Inputs in short, for error messages and logs; never fails, whatever they are."""
    return {name: _short(value) for name, value in inputs.items()}


def _short(value: object) -> str:
    try:
        return _described(value)
    except Exception:  # noqa: BLE001 (any value may be broken in any way)
        return type(value).__name__


def _described(value: object) -> str:
    shape = getattr(value, "shape", None)
    if shape is not None:
        return f"{type(value).__name__}{tuple(shape)}"
    if isinstance(value, (str, int, float, bool, type(None))):
        return shown(value)
    if isinstance(value, Lazy):
        return "(on demand)"
    if isinstance(value, (list, tuple, Each)):
        return f"{type(value).__name__} of {len(value)}"
    for name in getattr(type(value), "__dataclass_fields__", ()):
        inner = getattr(getattr(value, name), "shape", None)
        if inner is not None:
            return f"{type(value).__name__}({name}={tuple(inner)})"
    return type(value).__name__


__all__ = ["Call", "gather_inputs", "guarded", "shorten"]
