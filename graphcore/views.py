"""What validation looks up for each node of a type, made once per type and pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from graphcore.literals import LiteralRules
from graphcore.spec import MISSING, InputSpec, NodeSpec


@dataclass(frozen=True, slots=True)
class Fit:
    """What is known of a link from one output to one input: that it fits, and how its value is handed over."""

    output: int
    deferred: bool
    raw: bool
    guard: InputSpec | None


@dataclass(slots=True, kw_only=True, eq=False)
class SpecView:
    """A node type, seen by one pass of validation.

    `number` tells the types of a pass apart. `fits` holds what was found out about links: by the input's name, the
    number of the feeding type, and its output.
    """

    spec: NodeSpec
    number: int
    by_name: Mapping[str, InputSpec]
    open_inputs: InputSpec | None
    checks: dict[str, Callable[[InputSpec, object], object]]
    defaults: dict[str, object]
    required: tuple[str, ...]
    late: frozenset[str]
    fits: dict[tuple[str, int, str | int], Fit] = field(default_factory=dict)


def view_of(spec: NodeSpec, number: int, rules: LiteralRules) -> SpecView:
    """The view of a type under these rules."""
    late: set[str] = {declared.name for declared in spec.inputs if declared.file is not None}
    if spec.fingerprint is not None:
        late.update(spec.named_by(spec.fingerprint))
    return SpecView(
        spec=spec,
        number=number,
        by_name=spec.by_name,
        open_inputs=spec.open_inputs,
        checks={declared.name: rules.rule(declared) for declared in spec.inputs},
        defaults={}
        if spec.foreign is not None
        else {declared.name: _settled(declared) for declared in spec.inputs if not declared.required},
        required=tuple(declared.name for declared in spec.inputs if declared.required),
        late=frozenset(late),
    )


def _settled(declared: InputSpec) -> object:
    """A default as the node gets it: a float where it takes one, none for an optional input without a default."""
    default = declared.default
    if default is MISSING:
        return None
    if declared.type.name == "FLOAT":
        if type(default) is int:
            return float(default)
        if isinstance(default, (list, tuple)):
            return [float(item) for item in default]
    return list(default) if isinstance(default, tuple) and declared.gather else default
